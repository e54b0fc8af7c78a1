"""The token X-ray: every token of a row, trained, context or cut off; one of them under the cursor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text
from textual.containers import Vertical
from textual.widgets import Static

from ftui.core.text import one_line, sanitize
from ftui.ui.themes import palette
from ftui.ui.widgets.captions import set_subtitle, set_title
from ftui.ui.widgets.token_lines import MOST_TOKENS, NEWLINE, SPACE, visible
from ftui.ui.widgets.token_text import TokenText, token_style

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from ftui.runs.encoder import Token, Xray
    from ftui.ui.themes import Palette
    from ftui.ui.token_settings import TokenSettings


_NO_PAIRS = ("sft", "pretrain")


def why(token: Token, seen: Xray, first: bool, max_length: int) -> str:
    """What becomes of a token, and why, in plain words."""
    if token.truncated:
        return f"beyond max_length {max_length:,}: training never sees it"
    if token.trained:
        counts = "" if token.weight == 1 else f", counting {token.weight:g} times"
        return (
            f"trained{counts}: {'the model learns to end here' if token.special else 'learned word by word'}"
        )
    if seen.dropped:
        return f"not trained: {one_line(seen.dropped, 100)}"
    if token.special or token.role == "template":
        return "context: written by the template"
    if first:
        return "context: nothing comes before it to tell it from"
    return "context: read, not learned"


class TokenView(Vertical):
    """A row's tokens with what is to be said of them above, and of the one under the cursor below."""

    DEFAULT_CSS = """
    TokenView { background: $background; }
    TokenView > Static { height: auto; width: 1fr; }
    TokenView > #token { height: 2; display: none; }
    TokenView:focus-within > #token { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(id="xray", classes="panel")
        self.number = 0
        self.seen: Xray | None = None
        self._settings: TokenSettings | None = None
        self._words = ""

    def compose(self) -> ComposeResult:
        yield Static(id="told", markup=False)
        yield TokenText()
        yield Static(id="token", markup=False)

    def on_mount(self) -> None:
        set_title(self, "tokens")
        self._head()

    @property
    def text(self) -> TokenText:
        return self.query_one(TokenText)

    def wait(self, words: str) -> None:
        """Says what is being waited for; the tokens of before stay until there are others."""
        self._words = words
        self._head()

    def fail(self, number: int, words: str) -> None:
        """Says why a row has no tokens."""
        self.number, self.seen, self._words = number, None, words
        set_title(self, f"tokens · row {number:,}")
        self.text.show([])
        self._head()
        self._foot()

    def show(self, number: int, seen: Xray, settings: TokenSettings) -> None:
        sections = [("", seen.tokens)]
        if seen.rejected is not None:
            heading = "rejected: what training steers away from"
            if settings.objective in _NO_PAIRS:
                seen = replace(seen, rejected=_unseen(seen.rejected, settings.objective))
                heading = f"rejected: not seen by {settings.objective}"
            assert seen.rejected is not None
            sections = [("chosen", seen.tokens), (heading, seen.rejected.tokens)]
        self.number, self.seen, self._settings, self._words = number, seen, settings, ""
        set_title(self, f"tokens · row {number:,}")
        set_subtitle(self, settings.words)
        self.text.show(sections)
        self._head()
        self._foot()

    def restyle(self) -> None:
        """Draws everything again in the colours of now."""
        self._head()
        self._foot()
        self.text.refresh()

    def on_token_text_moved(self) -> None:
        self._foot()

    # -- words -------------------------------------------------------------------------------------

    def _head(self) -> None:
        colors = palette(self.app)
        dim, bad = Style(color=colors.dim), Style(color=colors.warning)
        head = Text(no_wrap=False)
        if self._words:
            head.append(f"{sanitize(self._words, lines=False)[:200]}\n", Style(color=colors.accent))
        if (seen := self.seen) is not None:
            share = f" ({seen.trained / seen.total:.0%})" if seen.total else ""
            head.append(
                f"{seen.total:,} tokens · {seen.trained:,} trained{share}", Style(color=colors.foreground)
            )
            if seen.truncated:
                cut = "cut off" if not seen.dropped else "too many"
                head.append(f" · {seen.truncated:,} {cut}", Style(color=colors.bad))
            if seen.eos_trained:
                head.append(" · end of reply trained", dim)
            head.append("\n")
            if seen.trained and not seen.eos_trained:
                head.append("! end of reply NOT trained: it may never learn to stop\n", bad)
            if seen.dropped:
                head.append(f"! not trained: {one_line(seen.dropped, 200)}\n", bad)
            for warning in seen.warnings[:3]:
                head.append(f"! {one_line(warning, 300)}\n", bad)
        head.append_text(_legend(colors))
        self.query_one("#told", Static).update(head)

    def _foot(self) -> None:
        """id, text, role and fate of the token under the cursor."""
        foot = self.query_one("#token", Static)
        seen, text = self.seen, self.text
        if seen is None or self._settings is None or not text.tokens:
            foot.update("")
            return
        colors = palette(self.app)
        token = text.tokens[text.cursor]
        side = seen if text.cursor < len(seen.tokens) or seen.rejected is None else seen.rejected
        first = text.cursor in (0, len(seen.tokens))
        role = "template" if token.special and token.role == "template" else token.role
        piece = visible(token.text).replace("\n", "")
        line = Text.assemble(
            (f"{text.cursor + 1:,} ", Style(color=colors.dim)),
            (f"‹{piece[:40]}›", token_style(token, colors)),
            (f"  id {token.id}", Style(color=colors.foreground)),
            (f"  {one_line(role, 20)}", Style(color=colors.special)),
            (f"\n{why(token, side, first, self._settings.max_length)}", Style(color=colors.dim)),
        )
        if text.cursor >= MOST_TOKENS:
            line.append("  (further than is drawn)", Style(color=colors.dim))
        foot.update(line)


def _unseen(side: Xray, objective: str) -> Xray:
    """A rejected reply where nothing is made of it."""
    tokens = tuple(replace(token, trained=False) for token in side.tokens)
    return replace(side, tokens=tokens, trained=0, dropped=f"{objective} does not see the rejected reply")


def _legend(colors: Palette) -> Text:
    dim = Style(color=colors.dim)
    return Text.assemble(
        ("trained", Style(color=colors.good, bold=True, underline=True)),
        (" ", dim),
        ("context", Style(color=colors.foreground)),
        (" ", dim),
        ("special", Style(color=colors.special)),
        (" template ", dim),
        ("cut off", Style(color=colors.bad, strike=True)),
        (f"  {SPACE} space {NEWLINE} newline", dim),
    )
