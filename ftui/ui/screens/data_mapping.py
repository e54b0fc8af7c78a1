"""Saying how a file's rows are to be read: the field mapper, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftui.core.errors import FtuiError
from ftui.ui.screens.data_turns import Turning

if TYPE_CHECKING:
    from ftui.core.shapes_mapping import FieldMap
    from ftui.ui.dataset_desk import DatasetDesk
    from ftui.ui.modals.field_mapper import FieldMapper


class Mapping(Turning):
    """The part of the Data pane that maps fields. Rows are looked at off the screen's thread."""

    async def action_map_fields(self) -> None:
        from ftui.ui.modals.field_mapper import FieldMapper

        desk, number = self.desk, self.rows.cursor
        if desk is None or desk.dataset is None:
            return
        mapper = FieldMapper(desk.path.name)
        await self.app.push_screen(mapper, lambda decided: self._map(desk, decided))
        self.run_worker(
            lambda: self._look_at_rows(desk, number, mapper),
            thread=True,
            exclusive=True,
            group="mapper",
            exit_on_error=False,
        )

    def _look_at_rows(self, desk: DatasetDesk, number: int, mapper: FieldMapper) -> None:
        from ftui.ui.field_mapping import Draft, look

        assert desk.dataset is not None
        try:
            draft = Draft(look(desk.dataset, number, lambda: not mapper.is_attached))
        except FtuiError as error:
            self.app.call_from_thread(self.say_error, error)
            return
        if mapper.is_attached:
            self.app.call_from_thread(mapper.fill, draft)

    def _map(self, desk: DatasetDesk, decided: tuple[FieldMap | None] | None) -> None:
        if decided is None or desk is not self.desk or desk.dataset is None:
            return
        if decided[0] == desk.dataset.mapping:
            self.say("rows are read like this already")
            return
        desk.map_fields(decided[0])
