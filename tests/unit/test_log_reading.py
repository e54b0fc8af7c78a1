"""A log of any size is read in pieces and searched from its end; what it holds is shown, never obeyed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftui.runs import log_reading
from ftui.runs.log_reading import last_lines_start, read_around, search

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "out.log"
    path.write_bytes(b"".join(b"line %d of the log\n" % number for number in range(50_000)))
    return path


def found(path: Path, text: str) -> list[int]:
    looks = list(search(path, text, lambda: False))
    return list(looks[-1].hits) if looks else []


def test_a_piece_in_the_middle_shows_both_sides(log):
    place = log.read_bytes().index(b"line 25000 ")
    piece = read_around(log, place, 10)
    assert piece.lines == tuple(f"line {number} of the log" for number in range(24_990, 25_010))
    assert piece.index(place) == 10
    assert not piece.at_end


def test_a_place_within_a_line_shows_that_line_whole(log):
    place = log.read_bytes().index(b"line 25000 ")
    assert read_around(log, place + 7, 2).lines[2] == "line 25000 of the log"


def test_the_end_is_the_end(log):
    piece = read_around(log, log.stat().st_size, 3)
    assert piece.lines[-1] == "line 49999 of the log"
    assert piece.at_end
    assert read_around(log, last_lines_start(log, 300)).lines[200] == "line 49700 of the log"


def test_the_last_hit_comes_first(log):
    places = found(log, "line 1234")
    assert [read_around(log, place, 1).lines[-1] for place in places] == [
        f"line {number} of the log" for number in (*range(12_349, 12_339, -1), 1234)
    ]


def test_hits_are_told_as_they_are_found_and_the_search_can_be_given_up(log):
    asked = []
    looks = list(search(log, "log", lambda: len(asked) > 1 or bool(asked.append(1))))
    assert len(looks) == 2
    assert 0 < looks[0].share < looks[1].share < 1


def test_capitals_count_when_there_are_any(tmp_path):
    log = tmp_path / "out.log"
    log.write_bytes("an Error\nan error\nÄrger\närger\n".encode())
    assert len(found(log, "error")) == 2
    assert len(found(log, "Error")) == 1
    assert len(found(log, "ärger")) == 2
    assert len(found(log, "Ärger")) == 1


def test_only_what_a_progress_bar_shows_is_found(tmp_path):
    log = tmp_path / "out.log"
    log.write_bytes(b"step 10%\rstep 50%\rstep 100%\r\ndone\n")
    assert read_around(log, 0).lines == ("step 100%", "done")
    assert found(log, "100%") == [0]
    assert found(log, "10%") == []


def test_a_line_without_end_is_read_in_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr(log_reading, "_LONGEST", 1 << 20)
    log = tmp_path / "out.log"
    log.write_bytes(b"begin\n" + b"x" * (3 << 20) + b"needle")
    assert len(found(log, "needle")) == 1
    piece = read_around(log, log.stat().st_size)
    assert sum(map(len, piece.lines)) <= 200 * 2000


def test_an_empty_log_has_nothing(tmp_path):
    log = tmp_path / "out.log"
    log.write_bytes(b"")
    assert read_around(log, 0).lines == ()
    assert found(log, "x") == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.binary(max_size=400) | st.text("ab\n\r\x1b\u202e", max_size=200).map(str.encode),
    st.sampled_from("ab"), st.integers(1, 16),
)  # fmt: skip
def test_whatever_a_log_holds_it_is_shown_harmless_and_found(tmp_path, monkeypatch, content, letter, block):
    monkeypatch.setattr(log_reading, "_BLOCK_BYTES", block)
    log = tmp_path / "any.log"
    log.write_bytes(content)
    places = found(log, letter.upper().lower())
    lines = [line.rstrip(b"\r").rpartition(b"\r")[2].lower() for line in content.split(b"\n")]
    assert len(places) == sum(letter.encode() in line for line in lines)
    assert places == sorted(places, reverse=True)
    for place in range(0, len(content) + 1, 7):
        piece = read_around(log, place)
        assert all(line.isprintable() for line in piece.lines if line.isascii())
        assert len(piece.lines) == len(piece.starts)
