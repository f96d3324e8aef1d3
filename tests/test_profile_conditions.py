"""Sensors and conditions, on files laid out as real boards lay them out."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tiny_runner import wait_for

from segfast_edge.contract.report import Latency
from segfast_edge.contract.validity import reasons
from targets.common import board_kind, cgroups, power, sensors
from targets.common.conditions import Sampler
from targets.common.load import CpuTime, foreign_share, summary, windows
from targets.common.machine import describe
from targets.common.session import usable_cores

CPU = "sys/devices/system/cpu"
INA = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon4"

PI5 = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n",
    "proc/meminfo": "MemTotal:        8256000 kB\nMemAvailable:    7000000 kB\n",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "2400000\n",
    f"{CPU}/cpu1/cpufreq/scaling_cur_freq": "1500000\n",
    f"{CPU}/cpu0/cpufreq/cpuinfo_max_freq": "2400000\n",
    f"{CPU}/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "61250\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
}
ORIN = {
    "etc/nv_tegra_release": "# R36 (release), REVISION: 3.0\n",
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "1510400\n",
    "sys/class/thermal/thermal_zone0/temp": "-256000\n",  # an absent sensor
    "sys/class/thermal/thermal_zone1/temp": "48500\n",
    "sys/class/thermal/cooling_device3/type": "cpu-throttle-alert\n",
    "sys/class/thermal/cooling_device3/cur_state": "0\n",
    "sys/class/hwmon/hwmon2/oc1_event_cnt": "4\n",
    f"{INA}/in1_label": "VDD_IN\n",
    f"{INA}/in1_input": "5000\n",
    f"{INA}/curr1_input": "1400\n",
    f"{INA}/in2_label": "VDD_CPU_GPU_CV\n",
    f"{INA}/in2_input": "5000\n",
    f"{INA}/curr2_input": "400\n",
    "sys/devices/platform/17000000.ga10b/load": "250\n",
    "sys/class/devfreq/17000000.ga10b/cur_freq": "612000000\n",
    "sys/class/devfreq/15480000.nvdec/cur_freq": "793600000\n",
}


def lay(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def put_tool(root: Path, name: str, script: str) -> None:
    lay(root, {f"usr/bin/{name}": f"#!/bin/sh\n{script}\n"})
    (root / "usr/bin" / name).chmod(0o755)


def test_each_board_is_known_by_its_own_files(tmp_path):
    pi, orin, none = lay(tmp_path / "pi", PI5), lay(tmp_path / "orin", ORIN), tmp_path / "none"
    assert [board_kind.is_raspberry_pi(root) for root in (pi, orin, none)] == [True, False, False]
    assert [board_kind.is_jetson(root) for root in (pi, orin, none)] == [False, True, False]


def test_the_model_is_read_where_proc_lacks_it(tmp_path):
    lay(tmp_path, {"sys/firmware/devicetree/base/model": "Raspberry Pi 4 Model B Rev 1.4\0"})
    assert board_kind.model(tmp_path) == "Raspberry Pi 4 Model B Rev 1.4"


def test_a_machine_without_any_sensor_reads_as_unknown(tmp_path):
    assert sensors.governors(tmp_path) == []
    assert sensors.frequency_mhz(tmp_path) is None
    assert sensors.temperature_c(tmp_path) is None
    assert sensors.pi_flags(tmp_path) is None
    assert sensors.alarms(tmp_path) == []
    assert sensors.battery(tmp_path) is None
    assert power.total_w(power.rails_w(tmp_path)) is None
    assert power.package_energy_j(tmp_path) is None
    with Sampler(tmp_path) as sampler:
        pass
    assert sampler.summary()["foreign_cpu_share"] is None
    assert sampler.summary()["frequency_mhz"] == {}


def test_a_pi_tells_clock_governor_temperature_and_processor(tmp_path):
    lay(tmp_path, PI5)
    assert sensors.frequency_mhz(tmp_path) == 1950
    assert sensors.frequency_limit_mhz(tmp_path) == 2400
    assert sensors.governors(tmp_path) == ["ondemand"]
    assert sensors.temperature_c(tmp_path) == 61.25
    machine = describe(tmp_path)
    assert machine["processor"] == "ARM Cortex-A76"
    assert machine["board"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert machine["memory_bytes"] == 8256000 * 1024
    assert machine["system"] == "Debian GNU/Linux 12 (bookworm)"


def test_a_pc_tells_the_temperature_of_its_processor_and_not_of_its_case(tmp_path):
    chips = {f"sys/class/hwmon/hwmon{n}/name": f"{name}\n" for n, name in enumerate(("nvme", "k10temp"))}
    hot = {"sys/class/hwmon/hwmon0/temp1_input": "81000\n", "sys/class/hwmon/hwmon1/temp1_input": "67500\n"}
    zone = {"sys/class/thermal/thermal_zone0/temp": "16800\n"}
    lay(tmp_path, zone)
    assert sensors.temperature_c(tmp_path) == 16.8
    lay(tmp_path, chips | hot)
    assert sensors.temperature_c(tmp_path) == 67.5


def test_the_clock_of_a_pc_without_cpufreq_comes_from_cpuinfo(tmp_path):
    lay(tmp_path, {"proc/cpuinfo": "processor\t: 0\ncpu MHz\t\t: 2000.5\nprocessor\t: 1\ncpu MHz\t\t: 3000.5\n"})
    assert sensors.frequency_mhz(tmp_path) == 2500.5


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("0", []),
        ("1", ["under-voltage"]),
        ("6", ["frequency capped", "throttled"]),
        ("50000", []),  # was the case since boot, is not now
        ("50008", ["soft temperature limit"]),
    ],
)
def test_the_pi_firmware_word_is_read_from_the_kernels_file(word, names, tmp_path):
    lay(tmp_path, PI5 | {"sys/devices/platform/soc/soc:firmware/get_throttled": word + "\n"})
    assert sensors.alarms(tmp_path) == sorted(names)


def test_the_pi_firmware_word_is_asked_of_vcgencmd_where_the_kernel_has_no_file(tmp_path):
    put_tool(tmp_path, "vcgencmd", "[ $1 = get_throttled ] && echo throttled=0x50005")
    assert sensors.alarms(tmp_path) == ["throttled", "under-voltage"]


def test_a_tool_that_fails_counts_as_absent(tmp_path):
    put_tool(tmp_path, "vcgencmd", "echo VCHI initialization failed; exit 1")
    assert sensors.pi_flags(tmp_path) is None


def test_the_supply_alarm_counts_as_under_voltage(tmp_path):
    lay(tmp_path, {"sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n"})
    assert sensors.alarms(tmp_path) == ["under-voltage"]


def test_a_jetson_tells_power_load_and_throttling(tmp_path):
    lay(tmp_path, ORIN)
    put_tool(tmp_path, "nvpmodel", "echo NV Fan Mode:quiet; echo NV Power Mode: 15W; echo 0")
    assert power.rails_w(tmp_path) == {"VDD_IN": 7.0, "VDD_CPU_GPU_CV": 2.0}
    assert power.total_w(power.rails_w(tmp_path)) == 7.0
    assert sensors.power_mode(tmp_path) == "15W"
    assert sensors.gpu_load(tmp_path) == ("/sys/devices/platform/17000000.ga10b/load", 0.25)
    assert sensors.temperature_c(tmp_path) == 48.5
    assert sensors.alarms(tmp_path) == []
    lay(tmp_path, {"sys/class/thermal/cooling_device3/cur_state": "1\n"})
    assert sensors.alarms(tmp_path) == ["cpu-throttle-alert"]


def test_a_jetsons_gpu_tells_its_clock_and_load_under_either_name(tmp_path):
    lay(tmp_path / "chip", ORIN)
    assert sensors.gpu_frequency_mhz(tmp_path / "chip") == 612
    with Sampler(tmp_path / "chip") as sampler:
        lay(tmp_path / "chip", {"sys/class/devfreq/17000000.ga10b/cur_freq": "306000000\n"})
    assert sampler.summary()["gpu_frequency_mhz"]["least"] == 306
    folder = "sys/class/devfreq/17000000.gpu"
    lay(tmp_path / "plain", {f"{folder}/cur_freq": "1020000000\n", f"{folder}/device/load": "500\n"})
    assert sensors.gpu_frequency_mhz(tmp_path / "plain") == 1020
    assert sensors.gpu_load(tmp_path / "plain") == (f"/{folder}/device/load", 0.5)
    assert sensors.gpu_frequency_mhz(tmp_path) is None


def test_a_jetson_of_jetpack_4_tells_power_its_own_way(tmp_path):
    folder = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    lay(tmp_path, {f"{folder}/rail_name_0": "POM_5V_IN\n", f"{folder}/in_power0_input": "2300\n"})
    assert power.total_w(power.rails_w(tmp_path)) == 2.3


def test_a_pi_5_tells_power_by_its_power_chip(tmp_path):
    lines = "   VDD_CORE_A current(7)=2.00000000A", "   VDD_CORE_V volt(15)=0.80000000V", "   EXT5V_V volt(24)=5.1V"
    put_tool(tmp_path, "vcgencmd", "\n".join(f"echo '{line}'" for line in lines))
    assert power.rails_w(tmp_path) == {"pi:VDD_CORE": pytest.approx(1.6)}
    assert power.total_w(power.rails_w(tmp_path)) == pytest.approx(1.6)


def test_a_laptops_battery_is_found_and_a_mouses_is_not(tmp_path):
    supply = "sys/class/power_supply"
    mouse = {"type": "Battery\n", "scope": "Device\n", "status": "Full\n"}
    lay(tmp_path, {f"{supply}/hid/{name}": text for name, text in mouse.items()})
    assert sensors.battery(tmp_path) is None
    lay(tmp_path, {f"{supply}/BAT0/type": "Battery\n", f"{supply}/BAT0/status": "Discharging\n"})
    assert sensors.battery(tmp_path) == "Discharging"


def test_throttling_between_two_samples_is_seen_by_the_since_boot_bits(tmp_path):
    lay(tmp_path, PI5)
    with Sampler(tmp_path) as sampler:
        lay(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": "40000\n"})
    assert sampler.summary()["alarms"] == ["throttled"]


def test_throttling_before_the_run_is_no_alarm(tmp_path):
    lay(tmp_path, PI5 | {"sys/devices/platform/soc/soc:firmware/get_throttled": "40000\n"})
    with Sampler(tmp_path) as sampler:
        pass
    assert sampler.summary()["alarms"] == []


def test_rising_event_counters_are_alarms(tmp_path):
    lay(tmp_path, ORIN | {f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "7\n"})
    with Sampler(tmp_path) as sampler:
        lay(tmp_path, {"sys/class/hwmon/hwmon2/oc1_event_cnt": "5\n"})
    assert sampler.summary()["alarms"] == ["over-current throttling"]


def test_the_thread_samples_along_the_run(tmp_path):
    lay(tmp_path, PI5)
    with Sampler(tmp_path) as sampler:
        wait_for(lambda: len(sampler.summary()["timeline"]) >= 3)
        lay(tmp_path, {"sys/class/thermal/thermal_zone0/temp": "70000\n"})
    summary = sampler.summary()
    assert len(summary["timeline"]) >= 4
    assert summary["temperature_c"]["first"] == 61.25
    assert summary["temperature_c"]["most"] == 70
    times = [line[0] for line in summary["timeline"]]
    assert times == sorted(times)
    assert summary["started_at"].endswith("Z")


def shares_so_far(sampler):
    return [moment[4] for moment in sampler.summary()["timeline"]]


def test_the_load_of_others_is_told_along_the_run(tmp_path):
    busy = "cpu{0} {1} 0 0 100 0 0 0 0 0 0\n"
    core = min(os.sched_getaffinity(0))
    lay(tmp_path, PI5 | {"proc/stat": busy.format(core, 100)})
    with Sampler(tmp_path) as sampler:
        wait_for(lambda: 0.0 in shares_so_far(sampler))
        lay(tmp_path, {"proc/stat": busy.format(core, 100 + 10_000)})
        wait_for(lambda: 1.0 in shares_so_far(sampler))
    shares = [moment[4] for moment in sampler.summary()["timeline"]]
    assert shares[0] is None  # nothing before it
    assert 0.0 in shares
    assert 1.0 in shares


def test_energy_comes_from_a_counter_before_readings(tmp_path):
    rapl = "sys/class/powercap/intel-rapl"
    counter = f"{rapl}:0/energy_uj"
    # a laptop's second domain is the whole machine, which has the package in it
    whole = {f"{rapl}:1/name": "psys\n", f"{rapl}:1/energy_uj": "9000000\n"}
    lay(tmp_path, ORIN | {f"{rapl}:0/name": "package-0\n", counter: "1000000\n"} | whole)
    with Sampler(tmp_path) as sampler:
        start = sampler.take()
        time.sleep(0.1)
        lay(tmp_path, {counter: "3000000\n", f"{rapl}:1/energy_uj": "99000000\n"})
        end = sampler.take()
    assert sampler.mean_watts(start, end) == pytest.approx(2 / (end - start))


def test_power_is_the_mean_of_readings_where_there_is_no_counter(tmp_path):
    lay(tmp_path, ORIN)
    with Sampler(tmp_path) as sampler:
        start = sampler.take()
        lay(tmp_path, {f"{INA}/curr1_input": "2800\n"})
        end = sampler.take()
    assert sampler.mean_watts(start, end) == pytest.approx((7 + 14) / 2)


def test_foreign_load_is_what_the_cores_did_beyond_this_process():
    cores = len(os.sched_getaffinity(0))
    start = CpuTime(wall_s=0, busy_s=100, own_s=5)
    assert foreign_share(start, CpuTime(10, 100 + 4 + cores, 5 + 4)) == pytest.approx(0.1)
    assert foreign_share(start, CpuTime(10, 104, 10)) == 0  # ticks are coarse: never below nothing
    assert foreign_share(start, CpuTime(10, None, 5)) is None
    assert foreign_share(start, CpuTime(0.1, 200, 5)) is None


def test_our_own_work_is_not_foreign():
    before = CpuTime.now(Path("/"))
    if before.busy_s is None:
        pytest.skip("/proc/stat tells nothing here")
    deadline = time.process_time() + 0.3
    while time.process_time() < deadline:
        pass
    after = CpuTime.now(Path("/"))
    assert after.own_s - before.own_s >= 0.3
    assert after.busy_s - before.busy_s >= 0.2  # ticks of 10 ms


def readings(cores: np.ndarray, own: np.ndarray) -> list[CpuTime]:
    """Return what is read every 100 ms if each core [windows, cores] and this process were busy for these shares."""
    busy, ours = np.cumsum(0.1 * cores, axis=0), np.cumsum(0.1 * own)
    return [
        CpuTime(0.1 * (k + 1), row.sum(), mine, tuple(row))
        for k, (row, mine) in enumerate(zip(busy, ours, strict=True))
    ]


def hog(cores: int, windows_taken: int) -> list[CpuTime]:
    """Return 4 s in which this process fills the first core, and another one the second for some windows."""
    busy = np.zeros((41, cores))
    busy[:, 0] = 1
    busy[10 : 10 + windows_taken, 1] = 1
    return readings(busy, np.ones(41))


@pytest.mark.parametrize("cores", [2, 4, 32])
def test_a_short_hog_is_seen_however_many_cores_there_are(cores):
    load = summary(hog(cores, 7))
    assert load["measured_s"] == pytest.approx(4)
    assert load["disturbed_s"] == pytest.approx(0.7)
    assert load["foreign_cores"][9:17] == [1] * 7 + [0]
    assert 0.7 / 4 / cores < 0.1  # the average over time and cores shows nothing
    says = "foreign load: other processes took over 0.3 of a core for 0.7 of 4.0 s; at most 5% of the time"
    assert reasons(STEADY, {"load": load}) == (says,)
    assert reasons(STEADY, {"load": summary(hog(cores, 2))}) == ()


def test_a_hog_on_our_own_core_is_seen():
    busy, own = np.ones((41, 1)), np.ones(41)
    own[10:17] = 0.5
    assert summary(readings(busy, own))["disturbed_s"] == pytest.approx(0.7)


def test_counting_by_ticks_is_not_taken_for_load():
    draw = np.random.default_rng(2)
    half = draw.binomial(10, 0.5, (400, 16)) / 10  # a pool of threads that is busy half of the time
    load = summary(readings(half, np.full(400, 8.0)))
    assert load["disturbed_s"] < 0.05 * load["measured_s"]


def test_windows_that_came_late_or_too_early_are_told_by_their_length():
    times = [CpuTime(at, at, at, (at,)) for at in (0.0, 0.02, 0.1, 0.5)]
    assert [each.seconds for each in windows(times)] == pytest.approx([0.1, 0.4])
    assert summary(times[:1]) == {}
    assert summary([CpuTime(at, None, at) for at in (0.0, 0.1)]) == {}


def test_a_real_hog_is_seen_by_the_real_clocks():
    busy = "import time\nend = time.time() + 0.7\nwhile time.time() < end: pass"
    with Sampler(Path("/")) as sampler:
        subprocess.run([sys.executable, "-c", busy], check=True)
    load = sampler.summary()["load"]
    if not load:
        pytest.skip("/proc/stat tells nothing here")
    assert load["disturbed_s"] >= 0.3
    assert len(load["foreign_cores"]) >= 4


VERSION_2 = {
    "proc/self/cgroup": "0::/box/job\n",
    "sys/fs/cgroup/box/cpu.max": "150000 100000\n",
    "sys/fs/cgroup/box/cpu.stat": "usage_usec 5\nnr_periods 9\nnr_throttled 3\n",
    "sys/fs/cgroup/box/job/cpu.max": "max 100000\n",
    "sys/fs/cgroup/box/job/cpu.stat": "nr_throttled 1\n",
    "sys/fs/cgroup/box/job/cpuset.cpus.effective": "0-1\n",
}
VERSION_1 = {
    "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n2:cpuset:/docker/abc\n0::/\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",  # the container sees its own group at the mount
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "20000\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.stat": "nr_throttled 7\n",
    "sys/fs/cgroup/cpuset/cpuset.effective_cpus": "2,5\n",
}


@pytest.mark.parametrize(
    ("files", "quota", "throttled", "cores"),
    [
        (VERSION_2, 1.5, 4, "0-1"),
        (VERSION_1, 2.5, 7, "2,5"),
        (VERSION_1 | {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n"}, None, 7, "2,5"),
        ({}, None, 0, None),
    ],
    ids=["version 2", "version 1", "no limit", "no control groups"],
)
def test_control_groups_tell_quota_throttling_and_cores(files, quota, throttled, cores, tmp_path):
    lay(tmp_path, files)
    assert cgroups.quota_cores(tmp_path) == quota
    assert cgroups.throttled_count(tmp_path) == throttled
    assert cgroups.cpuset(tmp_path) == cores
    machine = describe(tmp_path)
    assert (machine["cpu_quota_cores"], machine["cpuset"]) == (quota, cores)


def test_a_quota_that_holds_the_run_back_is_an_alarm(tmp_path):
    lay(tmp_path, VERSION_2)
    with Sampler(tmp_path) as sampler:
        lay(tmp_path, {"sys/fs/cgroup/box/cpu.stat": "nr_throttled 4\n"})
    assert sampler.summary()["alarms"] == ["CPU quota of the control group"]
    with Sampler(tmp_path) as sampler:
        pass
    assert sampler.summary()["alarms"] == []


def test_a_quota_limits_the_threads_that_are_used_unasked(tmp_path):
    cores = len(os.sched_getaffinity(0))
    assert usable_cores(tmp_path) == cores
    lay(tmp_path, VERSION_2)
    assert usable_cores(tmp_path) == 1  # a second thread would be held back half of the time
    lay(tmp_path, {"sys/fs/cgroup/box/cpu.max": "9900000 100000\n"})
    assert usable_cores(tmp_path) == cores


STEADY = Latency((2.0, 2.1) * 50)


@pytest.mark.parametrize(
    ("latency", "conditions", "says"),
    [
        (STEADY, {}, ()),
        (STEADY, {"foreign_cpu_share": None, "alarms": []}, ()),
        (STEADY, {"foreign_cpu_share": 0.05}, ()),
        (STEADY, {"foreign_cpu_share": 0.31}, ("foreign load: other processes took 31% of the cores; at most 10%",)),
        (STEADY, {"alarms": ["under-voltage"]}, ("throttled: under-voltage",)),
        (STEADY, {"layers": {"alarms": ["under-voltage"]}}, ("layers: throttled: under-voltage",)),
        (Latency((2.0,) * 29), {}, ("too few samples: 29; at least 30",)),
        (Latency((1.0, 3.0) * 50), {}, ("unsteady: coefficient of variation 0.50; at most 0.2",)),
    ],
    ids=["good", "unknown", "a little load", "load", "voltage", "layers", "few", "unsteady"],
)
def test_what_makes_a_measurement_invalid_is_said(latency, conditions, says):
    assert reasons(latency, conditions) == says
