"""Texts that run a script where they are taken as markup, and do nothing where they are text.

`PAYLOADS` are for whatever a report is made of; `FIT` are those of them that the desk's store takes as names and notes.
"""

RUN = "window.hit=-~window.hit"
"""Counts what ran."""

_VECTORS = (
    f"<script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f"<svg onload={RUN}>",
    f"<body onload={RUN}>",
    f"<input autofocus onfocus={RUN}>",
    f"<select autofocus onfocus={RUN}></select>",
    f"<details open ontoggle={RUN}><summary>x</summary></details>",
    f"<video src=x onerror={RUN}></video>",
    f"<video><source onerror={RUN}></video>",
    f"<audio src=x onerror={RUN}></audio>",
    f"<marquee onstart={RUN}>x</marquee>",
    f"<svg><animate onbegin={RUN} attributeName=x dur=1s></svg>",
    f"<svg><script>{RUN}</script></svg>",
    f"<script src=data:text/javascript,{RUN}></script>",
    f"<object data=x onerror={RUN}></object>",
    f"<object data=javascript:{RUN}></object>",
    f"<embed src=javascript:{RUN}>",
    f"<link rel=stylesheet href=x onerror={RUN}>",
    f"<style onload={RUN}></style>",
    f"<iframe onload={RUN}></iframe>",
    f"<iframe src=javascript:{RUN}></iframe>",
    f"<a href=javascript:{RUN} id=link>x</a>",
    f"<form action=javascript:{RUN}><button>x</button></form>",
    f"<math><maction actiontype=statusline xlink:href=javascript:{RUN}>x</maction></math>",
    f"<div style=animation-name:x onanimationstart={RUN}>x</div>",
)
# Each vector behind the ways out of a text, an attribute, a string and all at once; of the others, two are enough.
_BREAKS = ("{}", '">{}', "'>{}", "`{}`", "]]>{}", "--></title></textarea></style></script>{}")
_RARE_BREAKS = ("</script>{}", "</style>{}", "</title>{}", "</textarea>{}", "-->{}", "</{}", "{{{}}}", "\u2028{}",
                "\x0b{}")  # fmt: skip
_SCHEMES = ("javascript:", "JaVaScRiPt:", "java\tscript:", "java\nscript:", " javascript:", "\x01javascript:",
            "data:text/html,<script>", "vbscript:", "javascript://%0a", "jav&#x61;script:")  # fmt: skip
_STRINGS = ("');{};//", '");{};//', "`;{};//", "${{{}}}", "`${{{}}}`", "\\');{};//", "\\\");{};//", "\u2028{}//",
            "\u2029{}//", "*/{}/*", "}});{};//", "]);{};//", "\\u0027);{};//", "</script ><script>{}</script >",
            "<!--<script>{}</script>", "<![CDATA[<script>{}</script>]]>", "\\u003cscript\\u003e{}\\u003c/script\\u003e",
            "&lt;script&gt;{}&lt;/script&gt;", "%3Cscript%3E{}%3C/script%3E",
            "+ADw-script+AD4-{}+ADw-/script+AD4-")  # fmt: skip
_ODD = (
    f"' onmouseover='{RUN}' autofocus onfocus='{RUN}",
    f'" onmouseover="{RUN}" autofocus onfocus="{RUN}',
    f" onfocus={RUN} autofocus x=",
    "{{ 7*7 }}",
    "{% for x in y %}",
    "${{7*7}}",
    "#{7*7}",
    "<base href=//example.org/>",
    "<meta http-equiv=refresh content=0;url=javascript:0>",
    f"<math><mtext></mtext><mglyph><style></math><img src=x onerror={RUN}>",
    f"<noscript><p title=\"</noscript><img src=x onerror={RUN}>\">",
    f"<svg></p><style><a id=\"</style><img src=x onerror={RUN}>\">",
    "../../../etc/passwd\0<b>",
    "..\\..\\windows\\system32",
    "con.png",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd",
    "\ud800<b>",
    "\u202e<script>",
    "a" * 5_000 + "<script>",
    "\r\nContent-Type: text/html\r\n\r\n<script>",
    "<" * 50,
    "&" * 50,
    "'\"`<>&\\/",
    "\t\v\f\x7f",
    "%00<script>",
)  # fmt: skip

PAYLOADS: tuple[str, ...] = (
    *(way.replace("{}", vector) for way in _BREAKS for vector in _VECTORS),
    *(way.replace("{}", vector) for way in _RARE_BREAKS for vector in _VECTORS[:2]),
    *(scheme + RUN for scheme in _SCHEMES),
    *(text.replace("{}", RUN, 1) if "{}" in text else text for text in _STRINGS),
    *_ODD,
)


def _is_fit(text: str) -> bool:
    return len(text) <= 200 and not any(one in "\0\r\n" or "\ud800" <= one <= "\udfff" for one in text)


FIT: tuple[str, ...] = tuple(filter(_is_fit, PAYLOADS))
