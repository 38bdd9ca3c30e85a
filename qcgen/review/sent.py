"""What browsers send: pydantic models that refuse unknown keys, and the fixed refusal that never quotes them."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from qcgen.core.reasoncodes import CODES, NOTE_LENGTH
from qcgen.core.review import Choice
from qcgen.review.problem import MALFORMED, RefusedError

MOST_IN_BULK = 2_000
TYPED_ABOVE = 50


def _storable(text: str) -> str:
    # PostgreSQL's text has no NUL.
    if "\0" in text:
        raise ValueError("a NUL character")
    return text


def _known_code(code: str) -> str:
    if code and code not in CODES:
        raise ValueError("unknown reason code")
    return code


Id = Annotated[int, Field(ge=0, lt=10**18)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Note = Annotated[str, Field(max_length=NOTE_LENGTH), AfterValidator(_storable)]
Code = Annotated[str, Field(max_length=64), AfterValidator(_known_code)]


class Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Login(Sent):
    """Either a link's ticket, or name and password."""

    ticket: str | None = Field(None, max_length=200)
    name: str | None = Field(None, max_length=200)
    password: str | None = Field(None, max_length=1_000)


class Next(Sent):
    """`blind`: findings stay hidden until the answer. `disputes`: only those."""

    n: int = Field(12, ge=1, le=50)
    blind: bool = True
    disputes: bool = False


class Seen(Sent):
    """The task as it was on the screen."""

    task: Id
    revision: Id
    sha256: Digest


class Said(Seen):
    choice: Choice = Field(strict=False)
    code: Code = ""
    note: Note = ""
    dwell_ms: int = Field(0, ge=0, le=86_400_000)
    blind: bool = True


class Bulk(Sent):
    """One answer to many pictures of one reason or product. `typed`: the number that the person typed."""

    tasks: tuple[Seen, ...] = Field(min_length=1, max_length=MOST_IN_BULK, strict=False)
    choice: Choice = Field(strict=False)
    code: Code = ""
    note: Note = ""
    dwell_ms: int = Field(0, ge=0, le=86_400_000)
    typed: int | None = Field(None, ge=0, le=10**6)


class Group(Sent):
    """A page of open flagged pictures behind the id `after`; of one reason, or of all."""

    code: Code | None = None
    after: Id = 0


Model = TypeVar("Model", bound=Sent)


async def read_sent(request: Request, model: type[Model]) -> Model:
    """The request's body as a model. Raises RefusedError, without a word of the body."""
    try:
        return model.model_validate_json(await request.body())
    except (ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(MALFORMED) from error
