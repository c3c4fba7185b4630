"""Tables of intervals, as people, BORIS and ELAN write them."""

from pathlib import Path

import pytest

from last.data.preparation.intervals.rows import TableRow
from last.data.preparation.intervals.tables import find_tables, read_tables
from last.utils.errors import UserError

OWN = "recording,start,stop,label,subject\nday1,1.5,2,wave,P03\nday1,0:01:02.5,0:01:04,clap,P03\nday2,,,,\n"
IN_FRAMES = "video;start_frame;stop_frame;action\nclips/day1.mp4;30;60;wave\n"

# As BORIS 8 writes tabular events, and aggregated ones.
BORIS_TABULAR = (
    "Observation id,Observation date,Description,Observation duration,Observation type,Source,Time offset (s),"
    "Media duration (s),FPS,Subject,Observation duration by subject by observation,Behavior,Behavioral category,"
    "Behavior type,Time,Media file name,Image index,Image file path,Comment\n"
    + "".join(
        f"obs 1,2025-01-01 10:00:00,,60.0,Media file(s),player #1:/data/day1.mp4,0.0,60.0,25.0,{subject},60.0,"
        f"{behavior},,{kind},{time},/data/day1.mp4,{int(time * 25)},,\n"
        for subject, behavior, kind, time in [
            ("No focal subject", "wave", "START", 1.5),
            ("No focal subject", "jump", "POINT", 1.75),
            ("No focal subject", "wave", "STOP", 2.0),
            ("No focal subject", "clap", "START", 62.5),
            ("No focal subject", "clap", "STOP", 64.0),
        ]
    )
)
BORIS_AGGREGATED = (
    "Observation id\tObservation date\tDescription\tMedia file\tTotal length\tFPS\tSubject\tBehavior\t"
    "Behavioral category\tModifiers\tBehavior type\tStart (s)\tStop (s)\tDuration (s)\tComment start\tComment stop\n"
    "obs 1\t2021-12-06 13:26:24\t\tT:/My Videos/day1.mp4\t90.0\t29.97\tP03\twave\t\t\tSTATE\t1.500\t2.000\t0.5\t\t\n"
    "obs 1\t2021-12-06 13:26:24\t\tT:/My Videos/day1.mp4\t90.0\t29.97\tP03\tjump\t\t\tPOINT\t1.750\t1.750\tNA\t\t\n"
    "obs 1\t2021-12-06 13:26:24\t\tT:/My Videos/day1.mp4\t90.0\t29.97\tP03\tclap\t\t\tSTATE\t62.500\t64.000\t1.5\t\t\n"
)
# As BORIS 7 wrote tabular events: facts of the observation first.
BORIS_OLD = (
    "Observation id\tobs 1\t\t\n\nMedia file(s)\n\nPlayer #1\t/data/day1.mp4\n\n"
    "Observation date\t2019-03-01 10:00:00\n\nDescription\n\nTime offset (s)\t0.0\n\n"
    "Time\tMedia file path\tTotal length\tFPS\tSubject\tBehavior\tBehavioral category\tComment\tStatus\n"
    "1.5\t/data/day1.mp4\t90\t25\t\twave\t\t\tSTART\n1.75\t/data/day1.mp4\t90\t25\t\tjump\t\t\tPOINT\n"
    "2.0\t/data/day1.mp4\t90\t25\t\twave\t\t\tSTOP\n62.5\t/data/day1.mp4\t90\t25\t\tclap\t\t\tSTART\n"
    "64.0\t/data/day1.mp4\t90\t25\t\tclap\t\t\tSTOP\n"
)
# As ELAN writes tab-delimited text: times in every form, times in one form, columns by name, a column for each tier.
ELAN_ALL = (
    '"#file:///C:/Users/me/day1.mp4 -- offset: 0, duration: 00:01:30.000 / 90.000 / 90000, ms per sample: 40.0"\n\n'
    "actions\tP03\t00:00:01.500\t1.5\t1500\t00:00:02.000\t2.0\t2000\t00:00:00.500\t0.5\t500\twave\n"
    "actions\tP03\t00:01:02.500\t62.5\t62500\t00:01:04.000\t64.0\t64000\t00:00:01.500\t1.5\t1500\tclap\n"
)
ELAN_PLAIN = "actions\tP03\t1500\t2000\t500\twave\tday1.eaf\nactions\tP03\t62500\t64000\t1500\tclap\tday1.eaf\n"
ELAN_NUMBERS = (
    "actions\t\t00:00:01.500\t00:00:02.000\t00:00:00.500\t7\nactions\t\t00:01:02.500\t00:01:04.000\t00:00:01.500\t8\n"
)
ELAN_NAMED = (
    "Tier,Begin Time - hh:mm:ss.ms,Begin Time - ss.msec,End Time - hh:mm:ss.ms,End Time - ss.msec,"
    "Duration - hh:mm:ss.ms,Duration - ss.msec,text\n"
    "actions,00:00:01.500,1.5,00:00:02.000,2.0,00:00:00.500,0.5,wave\n"
    "actions,00:01:02.500,62.5,00:01:04.000,64.0,00:00:01.500,1.5,clap\n"
)
ELAN_TIERS = (
    "Begin Time - msec\tDuration - msec\tactions\tfeelings\n"
    "1500\t500\twave\t\n1500\t500\t\thappy\n62500\t1500\tclap\t\n"
)
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2025-01-01T10:00:00+01:00" FORMAT="3.0" VERSION="3.0"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="http://www.mpi.nl/EAFv3.0.xsd">
  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
    <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/Users/me/day1.mp4" MIME_TYPE="video/mp4"/>
  </HEADER>
  <TIME_ORDER>
    <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1500"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="2000"/>
    <TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="62500"/><TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="64000"/>
    <TIME_SLOT TIME_SLOT_ID="ts5"/>
  </TIME_ORDER>
  <TIER LINGUISTIC_TYPE_REF="default-lt" PARTICIPANT="P03" TIER_ID="actions">
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
      <ANNOTATION_VALUE>wave</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
      <ANNOTATION_VALUE>clap</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
  </TIER>
  <TIER LINGUISTIC_TYPE_REF="words" PARENT_REF="actions" TIER_ID="words">
    <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a1">
      <ANNOTATION_VALUE>hello</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a4" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts5">
      <ANNOTATION_VALUE>later</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
  </TIER>
</ANNOTATION_DOCUMENT>
"""
FILES = {
    "own": ("table.csv", OWN, []),
    "boris tabular": ("events.csv", BORIS_TABULAR, []),
    "boris aggregated": ("events.tsv", BORIS_AGGREGATED, []),
    "boris old": ("events.tsv", BORIS_OLD, []),
    "elan, every form": ("day1.txt", ELAN_ALL, []),
    "elan, milliseconds": ("day1.txt", ELAN_PLAIN, []),
    "elan, named": ("day1.csv", ELAN_NAMED, []),
    "elan, tiers": ("day1.txt", ELAN_TIERS, ["actions"]),
    "elan, eaf": ("day1.eaf", EAF, ["actions"]),
}


def read(folder: Path, name: str, text: str, groups: list[str] | None = None) -> list[TableRow]:
    (folder / name).write_text(text, encoding="utf-8")
    return read_tables([folder / name], groups or [])


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_intervals(name: str, tmp_path: Path) -> None:
    file, text, groups = FILES[name]
    rows = [row for row in read(tmp_path, file, text, groups) if row.label and not row.is_point]
    assert [(row.start, row.stop, row.label) for row in rows] == [(1.5, 2.0, "wave"), (62.5, 64.0, "clap")]
    assert all("day1" in row.names and not row.in_frames for row in rows)
    assert {row.subject for row in rows} <= {"P03", ""}


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("boris")])
def test_point_events_of_boris_are_marked(name: str, tmp_path: Path) -> None:
    points = [row for row in read(tmp_path, *FILES[name][:2]) if row.is_point]
    assert [(row.label, row.start) for row in points] == [("jump", 1.75)]


def boris_events(columns: str, *rows: str) -> str:
    """Return tabular events of one recording, each row with its START or STOP, its time, and then these columns."""
    return "\n".join([f"Observation id,Behavior type,Time,{columns}", *(f"day1,{row}" for row in rows)]) + "\n"


@pytest.mark.parametrize("modifiers", ["Modifier #1,Modifier #2", "Modifiers,Comment", "Modifier 1,Modifier 2"])
def test_events_of_boris_are_pairs_of_equal_subject_behavior_and_modifiers(modifiers: str, tmp_path: Path) -> None:
    text = boris_events(
        f"Subject,Behavior,{modifiers}",
        "START,1,P1,wave,left,",
        "START,2,P1,wave,right,",
        "START,3,P1,clap,left,",
        "START,4,P2,wave,left,",
        "STOP,5,P1,wave,left,",
        "STOP,6,P1,clap,left,",
        "STOP,7,P2,wave,left,",
        "STOP,8,P1,wave,right,",
    )
    rows = sorted(read(tmp_path, "a.csv", text), key=lambda row: row.start)
    found = [(row.start, row.stop, row.label, row.subject) for row in rows]
    assert found == [(1, 5, "wave", "P1"), (2, 8, "wave", "P1"), (3, 6, "clap", "P1"), (4, 7, "wave", "P2")]


def test_the_second_modifier_of_boris_pairs_events_too(tmp_path: Path) -> None:
    text = boris_events(
        "Behavior,Modifier #1,Modifier #2",
        "START,1,wave,left,up",
        "START,2,wave,left,down",
        "STOP,3,wave,left,up",
        "STOP,4,wave,left,down",
    )
    assert [(row.start, row.stop) for row in read(tmp_path, "a.csv", text)] == [(1, 3), (2, 4)]


def test_a_comment_of_boris_does_not_keep_a_start_from_its_stop(tmp_path: Path) -> None:
    text = boris_events("Behavior,Comment,Behavioral category", "START,1,wave,hello,x", "STOP,2,wave,,x")
    assert [(row.start, row.stop) for row in read(tmp_path, "a.csv", text)] == [(1, 2)]


@pytest.mark.parametrize("name", FILES)
def test_lines_that_end_as_in_windows_and_a_byte_order_mark_change_nothing(name: str, tmp_path: Path) -> None:
    file, text, groups = FILES[name]
    before = read(tmp_path, file, text, groups)
    (tmp_path / file).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert read_tables([tmp_path / file], groups) == before
    (tmp_path / file).write_bytes(text.encode("utf-16"))  # as a spreadsheet saves "Unicode text"
    assert read_tables([tmp_path / file], groups) == before


def test_frames_are_read_from_columns_of_that_name(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "a.csv", IN_FRAMES)
    assert (row.start, row.stop, row.in_frames, row.names) == (30, 60, True, ("clips/day1.mp4", "day1"))


def test_a_row_without_times_and_label_says_that_a_recording_has_no_events(tmp_path: Path) -> None:
    assert [row.label for row in read(tmp_path, "a.csv", OWN) if "day2" in row.names] == [""]


def test_annotations_that_are_numbers_are_labels_and_not_times(tmp_path: Path) -> None:
    rows = read(tmp_path, "day1.txt", ELAN_NUMBERS)
    assert [(row.start, row.stop, row.label) for row in rows] == [(1.5, 2.0, "7"), (62.5, 64.0, "8")]


def test_a_table_without_a_column_for_the_recording_is_named_after_it(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "day9.csv", "start,stop,label\n1,2,wave\n")
    assert row.names == ("day9",)


def test_a_folder_of_tables_is_read_file_by_file(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"day{number}.csv").write_text("start,stop,label\n1,2,wave\n")
    (tmp_path / "notes.md").write_text("no table")
    assert [row.names for row in read_tables(find_tables(tmp_path), [])] == [("day1",), ("day2",)]


def test_media_that_are_shifted_in_elan_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(tmp_path, "day1.txt", ELAN_ALL.replace("offset: 0", "offset: 1200"))
    assert "offset of 1200 ms" in caplog.text


BILLION_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;&b;">]><ANNOTATION_DOCUMENT>&c;'
    "</ANNOTATION_DOCUMENT>"
)
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE a SYSTEM "file:///etc/passwd"><ANNOTATION_DOCUMENT/>'
WRONG = {
    "nothing known": ("a.csv", "one,two\n1,2\n", r"a.csv is no table of intervals that is known.*'one,two'"),
    "empty": ("a.csv", "", "a.csv is no table"),
    "header only": ("a.csv", "recording,start,stop,label\n", "has no intervals below"),
    "no stop": ("a.csv", "recording,start,label\nx,1,a\n", "a.csv, line 1: the table has no column stop"),
    "no recording": ("a.csv", "recording,start,stop,label\n,1,2,a\n", "line 2: the row names no recording"),
    "no label": ("a.csv", "recording,start,stop,label\nx,1,2,\n", "line 2: the interval has no label"),
    "text": ("a.csv", "recording,start,stop,label\nx,1,soon,a\n", "line 2: the stop is 'soon', not a time"),
    "infinite": ("a.csv", "recording,start,stop,label\nx,1,inf,a\n", "line 2: the stop is inf; it should be from 0"),
    "not a number": ("a.csv", "recording,start,stop,label\nx,nan,1,a\n", "line 2: the start is nan"),
    "negative": ("a.csv", "recording,start,stop,label\nx,-1,1,a\n", "line 2: the start is -1; it should be from 0"),
    "minutes": ("a.csv", "recording,start,stop,label\nx,0:75:00,1,a\n", "line 2: the start is '0:75:00', not a time"),
    "half a frame": ("a.csv", "start_frame,stop_frame,label\n1.5,2,a\n", "line 2: the start is '1.5', not the number"),
    "quote": ("a.csv", 'recording,start,stop,label\nx,1,2,"a\n', "line 2: this is not a row of a table"),
    "short row": ("a.csv", "recording,start,stop,label\nx,1\n", "line 2: the row has 2 fields"),
    "long label": ("a.csv", f"recording,start,stop,label\nx,1,2,{'a' * 300}\n", "line 2: a field has 300 characters"),
    "unpaired start": (
        "a.tsv",
        BORIS_OLD.rsplit("\n", 2)[0],
        "line 17: the START of 'clap' at 62.5 s is a START without STOP",
    ),
    "unpaired stop": ("a.tsv", BORIS_OLD.replace("START", "STOP", 1), "line 14: the STOP of 'wave' .* without START"),
    "started twice": ("a.tsv", BORIS_OLD.replace("POINT", "START").replace("jump", "wave"), "another START before"),
    "another modifier": (
        "a.csv",
        boris_events("Behavior,Modifier #1", "START,3661.125,wave,left", "STOP,3662,wave,right"),
        "line 3: the STOP of 'wave' at 3662 s is a STOP without START",
    ),
    "later than an hour": (
        "a.csv",
        boris_events("Behavior,Modifier #1", "START,3661.125,wave,left"),
        "line 2: the START of 'wave' at 3661.125 s is a START without STOP",
    ),
    "unknown type": ("a.tsv", BORIS_OLD.replace("POINT", "BLINK"), "line 15: the type of the event is 'BLINK'"),
    "durations only": ("a.txt", "a\t\t2000\t500\tx\n", "line 1: the annotation ends before it begins"),
    "entities": ("a.eaf", BILLION_LAUGHS, "a.eaf, line 1: the file declares a document type"),
    "external entity": ("a.eaf", OUTSIDE, "line 1: the file declares a document type"),
    "other xml": ("a.eaf", "<html/>", "is XML, but not a file of ELAN"),
    "cut xml": ("a.eaf", EAF[:-40], r"line \d+: the file is not XML"),
    "nested xml": ("a.eaf", "<a>" * 500, "more than 100 nested elements"),
    "untimed": ("a.eaf", EAF, "line 21: an annotation of the tier 'words' has no time"),
    "long line": ("a.csv", "recording,start,stop,label\n" + "," * 70_000, "line 2: the line has 70000 characters"),
    "many lines": ("a.csv", "recording,start,stop,label\n" + "\n" * 1_100_000, "has more than 1048576 lines"),
    "binary": ("a.csv", "a\0b", "is not a text file"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_tables_are_refused_with_file_line_and_remedy(name: str, tmp_path: Path) -> None:
    file, text, message = WRONG[name]
    with pytest.raises(UserError, match=message):
        read(tmp_path, file, text)


def test_a_tier_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is called 'action'. There are: 'actions', 'feelings'"):
        read(tmp_path, "day1.txt", ELAN_TIERS, ["action"])


def test_text_in_another_encoding_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("recording,start,stop,label\nx,1,2,é".encode("latin-1"))
    with pytest.raises(UserError, match="is not text in UTF-8"):
        read_tables([tmp_path / "a.csv"], [])
    with pytest.raises(UserError, match="There is no table of intervals"):
        find_tables(tmp_path / "b.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="There is no table of intervals in"):
        find_tables(tmp_path / "empty")


def test_a_table_that_is_gone_or_no_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a.csv: No such file or directory\.$"):
        read_tables([tmp_path / "a.csv"], [])
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(UserError, match=r"b.csv: \w.*\.$"):
        read_tables([tmp_path / "b.csv"], [])


def test_a_table_of_too_many_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("rows", "tables", "elan"):
        monkeypatch.setattr(f"last.data.preparation.intervals.{module}.MOST_ROWS", 3)
    with pytest.raises(UserError, match="more than 3 rows"):
        read(tmp_path, "a.csv", "recording,start,stop,label\n" + "x,1,2,a\n" * 5)
    with pytest.raises(UserError, match="or 3 annotations"):
        read(
            tmp_path, "a.eaf", EAF.replace("<TIER ", '<TIME_SLOT TIME_SLOT_ID="x"/><TIME_SLOT TIME_SLOT_ID="y"/><TIER ')
        )
