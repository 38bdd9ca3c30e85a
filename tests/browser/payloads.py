"""Two hundred texts that run a script where they are taken as markup, and do nothing where they are text."""

RUN = "window.hit=-~window.hit"
"""Counts what ran."""

_VECTORS = (
    f"<script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f"<svg onload={RUN}>",
    f"<body onload={RUN}>",
    f"<input autofocus onfocus={RUN}>",
    f"<details open ontoggle={RUN}><summary>x</summary></details>",
    f"<video src=x onerror={RUN}></video>",
    f"<audio src=x onerror={RUN}></audio>",
    f"<svg><animate onbegin={RUN} attributeName=x dur=1s></svg>",
    f"<svg><script>{RUN}</script></svg>",
    f"<object data=x onerror={RUN}></object>",
    f"<link rel=stylesheet href=x onerror={RUN}>",
    f"<iframe onload={RUN}></iframe>",
    f"<a href=javascript:{RUN}>x</a>",
    f"<form action=javascript:{RUN}><button>x</button></form>",
    f"<div style=animation-name:x onanimationstart={RUN}>x</div>",
)
_BEFORE = ("", '">', "'>", "</script>", "</style>", "</title>", "-->", "</textarea>", "]]>")
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
    *(before + vector for before in _BEFORE for vector in _VECTORS),
    *(scheme + RUN for scheme in _SCHEMES),
    *(text.replace("{}", RUN, 1) if "{}" in text else text for text in _STRINGS),
    *_ODD,
)
