"""Valid tables of intervals for the fuzz campaign, as people, BORIS and ELAN write them, and what reads them."""

from pathlib import Path

import numpy as np
from fuzz_changes import Files
from fuzz_recordings import npy, some_joints

_OWN = "recording,start,stop,label,subject\na_P1,0.1,0.2,first,P1\na_P1,0:00:00.25,0.3,second,P1\nb,,,,\n"
_FRAMES = "video;start_frame;stop_frame;action\na_P1.mp4;0;4;first\nb;2;6;second\n"
_BORIS = (
    "Observation id,Observation date,Description,Observation type,Source,Media duration (s),FPS,Subject,Behavior,"
    "Behavioral category,Behavior type,Time,Media file name,Image index,Comment\n"
    "a_P1,2025-01-01,,Media file(s),x,9.0,25,No focal subject,first,,START,0.1,/d/a_P1.mp4,2,\n"
    "a_P1,2025-01-01,,Media file(s),x,9.0,25,No focal subject,first,,STOP,0.3,/d/a_P1.mp4,6,\n"
)
_AGGREGATED = (
    "Observation id\tMedia file\tFPS\tSubject\tBehavior\tModifiers\tBehavior type\tStart (s)\tStop (s)\tDuration (s)\n"
    "a_P1\tT:/d/a_P1.mp4\t29.97\tP1\tfirst\t\tSTATE\t0.100\t0.200\t0.1\n"
)
_OLD = (
    "Observation id\ta_P1\n\nMedia file(s)\n\nPlayer #1\t/d/a_P1.mp4\n\n"
    "Time\tMedia file path\tTotal length\tFPS\tSubject\tBehavior\tBehavioral category\tComment\tStatus\n"
    "0.1\t/d/a_P1.mp4\t9\t25\t\tfirst\t\t\tSTART\n0.3\t/d/a_P1.mp4\t9\t25\t\tfirst\t\t\tSTOP\n"
)
_ELAN = (
    '"#file:///C:/d/a_P1.mp4 -- offset: 0, duration: 00:00:09.000 / 9.000 / 9000, ms per sample: 40.0"\n\n'
    "actions\tP1\t00:00:00.100\t0.1\t100\t00:00:00.200\t0.2\t200\t00:00:00.100\t0.1\t100\tfirst\n"
)
_NAMED = "Begin Time - ss.msec\tEnd Time - ss.msec\tactions\tfeelings\n0.1\t0.2\tfirst\t\n0.2\t0.3\t\tsecond\n"
_EAF = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT FORMAT="3.0" VERSION="3.0">\n'
    '<HEADER><MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/d/a_P1.mp4"/></HEADER>\n<TIME_ORDER>\n'
    '<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="100"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="200"/>\n'
    '</TIME_ORDER>\n<TIER PARTICIPANT="P1" TIER_ID="actions"><ANNOTATION>\n'
    '<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">\n'
    "<ANNOTATION_VALUE>first</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>\n"
)
_TABLES = {
    "own.csv": _OWN,
    "frames.csv": _FRAMES,
    "tabular.csv": _BORIS,
    "aggregated.tsv": _AGGREGATED,
    "old.tsv": _OLD,
    "a_P1.txt": _ELAN,
    "named_a_P1.txt": _NAMED.replace("second", "first"),
    "a_P1.eaf": _EAF,
}


def interval_seeds(_: Path) -> list[Files]:
    """Return a table of each kind."""
    return [{name if name != "named_a_P1.txt" else "a_P1.txt": text.encode()} for name, text in _TABLES.items()]


def read_intervals(folder: Path) -> None:
    """Read a table, match it with recordings, and cut one of them in both ways."""
    from dataclasses import replace

    from last.data.preparation.chunks import cut_into_chunks, read_chunk
    from last.data.preparation.formats import reader_of
    from last.data.preparation.intervals.plans import read_plans
    from last.settings.data import DataConfig
    from last.settings.intervals import IntervalsConfig

    raw = folder.parent / f"{folder.name}-recordings"
    raw.mkdir(exist_ok=True)
    for name in ("a_P1", "b"):
        (raw / f"{name}.npy").write_bytes(npy(some_joints(1, 12, 25)[0].astype(np.float32)))
    intervals = IntervalsConfig(file="x", point=0.1, window=0.2)
    config = DataConfig(
        name="x", format="folder", source_fps=30.0, classes=["first", "second", "background"], intervals=intervals
    )
    tables = sorted(path for path in folder.iterdir() if path.is_file())
    for settings in (intervals, replace(intervals, cut="windows")):
        cut = replace(config, intervals=settings)
        reader = reader_of(cut, tables)
        entries = reader.entries(raw)
        plans = read_plans(cut, tables, entries)
        for chunk in cut_into_chunks([entry for entry in entries if entry.name in plans.of], cut, plans):
            read_chunk(chunk, cut, reader, raw)
            (raw / chunk.file_name).unlink()
