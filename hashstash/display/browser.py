"""A stash to look through in a notebook: search, pages, one entry with the head of its value, delete.

The widgets show what :class:`~hashstash.display.browsing.Browsing` says and offers. The storage is read by threads, so
that the notebook is not held up, and the widgets are changed where the kernel handles messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from hashstash.display.browser_widgets import Parts, html_of_still, html_of_value, is_shown, show
from hashstash.display.browsing import Browsing, Page
from hashstash.display.card import Card
from hashstash.display.chosen import PATIENCE, Chosen, within
from hashstash.display.html import attempt, html_of_card
from hashstash.display.progress_notebook import WIDGET_VIEW, running_shell
from hashstash.display.search import BadSearch
from hashstash.display.stashes import html_of_stash

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.display.scanning import Scan
    from hashstash.stash import HashStash

_ADVICE = "To search, page and delete, run this cell."
_SOON = 0.15
"""Seconds within which most stashes are read; then what was found so far is shown."""
_AGAIN = 0.3
_LOOK_EVERY = 3.0
"""Seconds between two looks at whether others have written."""
_LOOK_SELDOM = 60.0
_LOOK_FOR = 900.0
"""Seconds after which a browser that nobody uses looks no more."""
_QUICK = 0.5
"""A stash that is read within so many seconds is read anew when it has changed."""
_NO_LOOP = 120.0


class Browser:
    """What ``stash.browse()`` gives: in a notebook a widget; elsewhere, and when its kernel has ended, the card of the stash."""

    def __init__(self, stash: HashStash, *, page_size: int = 15) -> None:
        self.model = Browsing(stash, page_size=page_size)
        self.stash = stash
        self._page = Page([], 1, 1, 0)
        self._number = 1
        self._chosen: Chosen | None = None
        self._wanted: tuple[bytes, int | None] | None = None
        self._said = ""
        self._is_drawing = False
        self._is_closed = False
        self._is_polling = False
        self._used_at = time.monotonic()
        self._pause = _LOOK_EVERY
        self._loop: asyncio.AbstractEventLoop | None = None
        self.parts = Parts(repr(stash), self.model.orders())
        self._listen()
        self._choose_none()
        self._follow()

    # ---- what the user does --------------------------------------------------------------------------------------

    def _listen(self) -> None:
        self.parts.search.observe(self._on_search, "value")
        self.parts.order.observe(self._on_order, "value")
        self.parts.entries.observe(self._on_choice, "index")
        self.parts.version.observe(self._on_version, "value")
        self.parts.refresh.on_click(lambda _: self._on_refresh())
        self.parts.first.on_click(lambda _: self._turn(1))
        self.parts.previous.on_click(lambda _: self._turn(self._page.number - 1))
        self.parts.next.on_click(lambda _: self._turn(self._page.number + 1))
        self.parts.last.on_click(lambda _: self._turn(self._page.pages))
        self.parts.show_value.on_click(lambda _: self._look_again(decodes_large=True))
        self.parts.delete.on_click(lambda _: self._ask())
        self.parts.keep.on_click(lambda _: show(self.parts.asking, False))
        self.parts.confirm.on_click(lambda _: self._on_confirmed())

    def _on_search(self, change: Any) -> None:
        self._use()
        try:
            self.model.search(change["new"])
        except BadSearch as error:
            self._said = str(error)
            self._draw()
            return
        self._said, self._number = "", 1
        self._choose_none()
        self._follow()

    def _on_order(self, change: Any) -> None:
        if not self._is_drawing and change["new"] is not None:
            self._use()
            self.model.order = change["new"]
            self._turn(1)

    def _on_refresh(self) -> None:
        self._use()
        self._said = ""
        self.model.refresh()
        self._follow()
        if self._chosen is not None:
            self._look_again()

    def _turn(self, number: int) -> None:
        self._use()
        self._number = number
        self._draw()

    def _on_choice(self, change: Any) -> None:
        index = change["new"]
        if self._is_drawing or index is None or index >= len(self._page.rows):
            return
        self._use()
        self._said = ""
        self._look(self._page.rows[index].info.address)

    def _on_version(self, change: Any) -> None:
        if not self._is_drawing and self._chosen is not None and change["new"] is not None:
            self._use()
            self._look(self._chosen.address, change["new"])

    def _look_again(self, *, decodes_large: bool = False) -> None:
        if self._chosen is not None:
            self._use()
            is_latest = self._chosen.version == (self._chosen.versions or [0])[0]
            version = None if is_latest else self._chosen.version
            self._look(self._chosen.address, version, decodes_large=decodes_large)

    def _ask(self) -> None:
        if self._chosen is None:
            return
        self._use()
        why_not = self.model.why_not_deleted()
        self.parts.question.value = html_of_card(Card("", notes=[why_not or self.model.question(self._chosen)]))
        self.parts.confirm.disabled = bool(why_not)
        show(self.parts.asking, True)

    def _on_confirmed(self) -> None:
        if self._chosen is None or not is_shown(self.parts.asking):
            return
        self._use()
        self._said = self.model.delete(self._chosen)
        self._choose_none()
        self._draw()

    # ---- what is shown -------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Show what is found: all of it where that is quick, else so far, and more of it when there is more."""
        scan = self.model.scan
        self._loop = _running_loop() or self._loop
        scan.wait(_NO_LOOP if self._loop is None else _SOON)
        self._draw()
        if not scan.is_done:
            self._later(_AGAIN, lambda: self._go_on(scan))

    def _go_on(self, scan: Scan) -> None:
        if scan is not self.model.scan or self._is_closed:
            return
        started = time.monotonic()
        is_done = scan.is_done
        self._draw()
        if not is_done:
            self._later(max(_AGAIN, 4 * (time.monotonic() - started)), lambda: self._go_on(scan))

    def _draw(self) -> None:
        """Bring the list and what stands around it up to date."""
        page = self._page = self.model.page(self._number)
        self._number = page.number
        addresses = [row.info.address for row in page.rows]
        chosen = self._chosen.address if self._chosen is not None else None
        self._is_drawing = True
        try:
            self.parts.fill(*self.model.table(page.rows), addresses, chosen)
            orders = self.model.orders()
            if page.rows and list(self.parts.order.options) != orders:  # of nothing, nobody knows the arguments
                self.parts.order.options = orders
                self.parts.order.value = self.model.order if self.model.order in orders else orders[0]
                self.model.order = self.parts.order.value
        finally:
            self._is_drawing = False
        show(self.parts.pager, page.pages > 1)
        for button, is_useless in ((self.parts.first, page.number == 1), (self.parts.previous, page.number == 1)):
            button.disabled = is_useless
        for button, is_useless in (
            (self.parts.next, page.number == page.pages),
            (self.parts.last, page.number == page.pages),
        ):
            button.disabled = is_useless
        self._draw_words(page)
        show(self.parts.detail, self._wanted is not None)

    def _draw_words(self, page: Page) -> None:
        facts = [self.model.summary()]
        if page.pages > 1:
            facts.append(
                f"{page.start + 1:,} to {page.start + len(page.rows):,}, page {page.number:,} of {page.pages:,}"
            )
        notes = ([self._said] if self._said else []) + self.model.notes()
        self.parts.summary.value = html_of_card(Card("", facts=facts, notes=notes))
        self.parts.refresh.button_style = ""

    def _choose_none(self) -> None:
        self._chosen = self._wanted = None
        show(self.parts.asking, False)
        show(self.parts.detail, False)

    def _look(self, address: bytes, version: int | None = None, *, decodes_large: bool = False) -> None:
        wanted = self._wanted = (address, version)
        self._loop = _running_loop() or self._loop

        def late(chosen: Chosen) -> None:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._show_chosen, chosen, wanted)

        answer = within(PATIENCE, lambda: self.model.look(address, version, decodes_large=decodes_large), late)
        words = f"It is still being read after {PATIENCE:g} s, and is shown when that is done."
        self._show_chosen(Chosen(address, words=words) if answer is None else answer[0], wanted)

    def _show_chosen(self, chosen: Chosen, wanted: tuple[bytes, int | None]) -> None:
        if self._wanted != wanted or self._is_closed:
            return  # something else was chosen meanwhile
        self._chosen = chosen
        self.parts.facts.value = html_of_card(chosen.card)
        self._is_drawing = True
        try:
            latest = chosen.versions[0] if chosen.versions else 0
            self.parts.version.options = [
                (f"{one}, the latest" if one == latest else str(one), one) for one in chosen.versions
            ]
            self.parts.version.value = chosen.version if chosen.version in chosen.versions else None
        finally:
            self._is_drawing = False
        show(self.parts.version, len(chosen.versions) > 1)
        show(self.parts.show_value, chosen.may_decode)
        show(self.parts.delete, chosen.info is not None)
        show(self.parts.asking, False)
        show(self.parts.detail, True)
        self.parts.value.value = html_of_value(chosen)

    # ---- others that write ---------------------------------------------------------------------------------------

    def poll(self) -> None:
        """Read a small stash anew if it was written to; of a large one, say so on the button."""
        if not self.model.scan.is_done or not self.model.has_changed:
            return
        if self.model.scan.seconds > _QUICK or is_shown(self.parts.asking):
            self.parts.refresh.button_style = "info"
            return
        before = self._listed()
        self.model.refresh()
        self._follow()
        # Files that change without anything new in them are looked at less and less often.
        self._pause = min(2 * self._pause, _LOOK_SELDOM) if before == self._listed() else _LOOK_EVERY

    def _listed(self) -> tuple[int, int, list[bytes]]:
        return self.model.scan.found, self.model.scan.size, [row.info.write_id for row in self._page.rows]

    def _use(self) -> None:
        self._used_at = time.monotonic()
        self._loop = _running_loop() or self._loop
        if not self._is_polling and self._loop is not None:
            self._is_polling = True
            self._later(self._pause, self._poll)

    def _poll(self) -> None:
        if self._is_closed or time.monotonic() - self._used_at > _LOOK_FOR:
            self._is_polling = False
            return
        attempt(self.poll)  # a front end that is gone must not fill the kernel's log
        self._later(self._pause, self._poll)

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_later(seconds, do)

    # ---- as a whole ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Remove the widgets, and stop reading."""
        self._is_closed = True
        self.model.cancel()
        self.parts.close()

    def __repr__(self) -> str:
        return f"Browser of {self.stash!r}"

    def _ipython_display_(self, **_wanted: object) -> None:
        shell = running_shell()
        if shell is None:
            return
        publish = shell.display_pub.publish
        publish({"text/plain": f"{self!r}. {_ADVICE}", "text/html": html_of_still(self._card(), _ADVICE)})
        publish({"text/plain": repr(self), "text/html": "<div></div>", **self._view()})

    def _repr_mimebundle_(self, **_wanted: object) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": self._card(), **self._view()}

    def _view(self) -> dict[str, Any]:
        if self._is_closed:
            return {}
        self._use()
        return {WIDGET_VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.parts.whole.model_id}}

    def _card(self) -> str:
        """What stands where there are no widgets, or no kernel any more."""
        return html_of_stash(self.stash)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    with contextlib.suppress(RuntimeError):
        return asyncio.get_running_loop()
    return None
