"""What an inspection finds."""

from last.inspection.findings import Contents, CurvePoint, Distribution, Finding, Inspection, Severity

LENGTHS = Distribution(1, 2, 3, 4, 5)
CONTENTS = Contents(3, {"wave": 3}, {1: 3}, {0: 3}, {0: 3}, {}, LENGTHS, None, {0.0: 3}, {1: 3}, None, 0.0)


def test_the_mean_of_a_curve_point_is_that_of_its_repetitions():
    assert CurvePoint(0.5, 10, [0.5, 0.75, 1.0]).mean == 0.75


def test_a_data_set_would_spoil_training_only_if_a_finding_says_so():
    def inspection(*severities: Severity) -> Inspection:
        findings = [Finding("frozen", each, "title", "message", "remedy") for each in severities]
        return Inspection("gestures", "here", CONTENTS, findings)

    assert inspection(Severity.NOTE, Severity.SPOILS).spoils
    assert not inspection(Severity.NOTE, Severity.WARNING).spoils
    assert not inspection().spoils
