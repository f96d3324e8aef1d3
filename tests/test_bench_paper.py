import json

import pytest

from segfast_edge.cli import main
from segfast_edge.profiling.paper_tables import (
    NETWORKS,
    PAPER_PARAMETERS,
    NetworkFigures,
    PaperFigures,
    PaperSetting,
    measure,
    ratios,
)


def test_the_ratios_are_of_medians_to_segfast():
    rows = [
        NetworkFigures(name, 1, (1.0, 100.0, 2.0 * index + 2.0), (1.0,), 1, 1) for index, name in enumerate(NETWORKS)
    ]
    assert ratios(rows) == {"fcn8s": 0.25, "segnet": 0.5, "segfast_basic": 0.75, "segfast": 1.0}


@pytest.mark.slow
def test_four_processes_give_times_parameters_and_memory():
    told = []
    measured = measure(PaperSetting(size=(32, 32), rounds=2, threads=1), lambda done, total: told.append((done, total)))
    rows = measured.rows
    assert 0 <= measured.foreign_share <= 1
    assert [row.network for row in rows] == list(NETWORKS)
    assert told[-1] == (20, 20)
    for row in rows:
        assert abs(row.parameters / PAPER_PARAMETERS[row.network] - 1) < 0.01
        assert len(row.forward_ms) == len(row.backward_ms) == 2
        assert min(*row.forward_ms, *row.backward_ms) > 0
        assert row.training_bytes >= row.forward_bytes > 0
    by_name = {row.network: row for row in rows}
    # weights of 134 M parameters in float32 cannot take less memory than themselves
    assert by_name["fcn8s"].forward_bytes > 4 * by_name["fcn8s"].parameters
    json.dumps([row.to_json() for row in rows])


def test_an_unknown_benchmark_and_a_wrong_setting_are_refused(capsys):
    assert main(["bench", "papr"]) == 2
    assert "Did you mean 'paper'?" in capsys.readouterr().err
    assert main(["bench", "paper", "--rounds", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err
    assert main(["bench", "paper", "--classes", "1"]) == 2
    assert "--classes 1 is outside 2 to 255" in capsys.readouterr().err
    assert main(["bench", "paper", "--output", "/proc/none/b.json"]) == 2
    assert "cannot write /proc/none/b.json" in capsys.readouterr().err  # before anything is measured


def test_figures_beside_other_load_are_void_with_the_reason():
    assert PaperFigures((), 0.05).reasons == ()
    assert PaperFigures((), None).reasons == ()  # where nobody counts, nobody can tell
    assert PaperFigures((), 0.44).reasons == ("other processes took 44% of the cores; at most 10%",)
