"""Every kind of machine that set-up knows: what of torch's wheels it takes, and what it says."""

import json
import os
import sys
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from labkit import doctor, libtorch, machines
from labkit.layout import TORCH_VERSION
from labkit.say import Problem

# What torch's own wheels hold below lib/, as `scripts/try-machines wheels` has written it down.
LISTS = json.loads((Path(__file__).parent / "wheels.json").read_text())
HEADER = "torch/include/torch/headeronly/version.h"


class Wheels(unittest.TestCase):
    def taken(self, machine):
        members = [name for _, wheel, _ in libtorch.WHEELS[machine] for name in [*LISTS[wheel], HEADER, "torch/_C.pyi"]]
        return [target for name in members if (target := libtorch._cpu_member(name, machine)) and target.startswith("lib/")]

    def test_each_machine_takes_exactly_the_libraries_it_needs_and_each_once(self):
        for machine, libraries in libtorch.CPU_LIBRARIES.items():
            with self.subTest(machine):
                self.assertEqual(sorted(self.taken(machine)), sorted(f"lib/{name}" for name in libraries))

    def test_headers_come_along_and_nothing_of_python(self):
        for machine in libtorch.WHEELS:
            self.assertEqual(libtorch._cpu_member(HEADER, machine), HEADER.removeprefix("torch/"))
            self.assertIsNone(libtorch._cpu_member("torch/_C.pyi", machine))

    def test_every_known_machine_has_wheels_of_its_own_kind(self):
        self.assertEqual(set(libtorch.WHEELS), set(machines.TRIED))
        marks = {machines.LINUX: "x86_64.whl", machines.ARM_LINUX: "aarch64.whl", machines.MAC: "arm64.whl"}
        for machine, wheels in libtorch.WHEELS.items():
            self.assertTrue(all(wheel.endswith(marks[machine]) for _, wheel, _ in wheels))
            self.assertIn(f"torch-{TORCH_VERSION}-", wheels[0][1])

    def fetch(self, machine, without=""):
        """What set-up makes of wheels from which one library is missing."""
        def fetch_members(index, package, wheel, record, wanted, folder):
            for name in [*LISTS[wheel], HEADER]:
                if (target := wanted(name)) and not name.endswith(f"/{without}"):
                    (folder / target).parent.mkdir(parents=True, exist_ok=True)
                    (folder / target).write_text("".join(f"#define TORCH_VERSION_{part} {number}\n" for part, number in
                                                         zip(("MAJOR", "MINOR", "PATCH"), TORCH_VERSION.split("."))))
        suffix = ".dylib" if machine[0] == "darwin" else ".so"
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(libtorch.download, "fetch_members", fetch_members), \
                mock.patch.object(libtorch.download, "index_url"), mock.patch.object(libtorch.machines, "LIBRARY", suffix):
            found = libtorch.fetch_for_cpu(machine, Path(folder))
            return found, {path.name: path.read_text() for path in found.lib.iterdir()}

    def test_whole_wheels_make_a_libtorch(self):
        for machine in libtorch.WHEELS:
            with self.subTest(machine):
                found, files = self.fetch(machine)
                self.assertEqual(found.version, TORCH_VERSION)
                forwards = [name for name, text in files.items() if text == "INPUT ( -ltorch_cpu )\n"]
                self.assertEqual(forwards, ["libtorch.so"] if machine[0] == "linux" else [])

    def test_a_library_that_the_wheels_lack_is_told(self):
        for machine, libraries in libtorch.CPU_LIBRARIES.items():
            for name in libraries:
                with self.subTest(name), self.assertRaisesRegex(Problem, f"hold no {name}, .*LIBTORCH"):
                    self.fetch(machine, without=name)


class Machine(unittest.TestCase):
    def finding(self, system, processor, release="6.1.0", own_torch=False, libtorch_=""):
        with mock.patch.object(machines.sys, "platform", system), mock.patch.object(machines.platform, "machine", return_value=processor), \
                mock.patch.object(machines.platform, "release", return_value=release), mock.patch.dict(os.environ, {"LIBTORCH": libtorch_}):
            return machines.finding(own_torch)

    def test_both_names_of_a_processor_are_one(self):
        for system, names, machine in [("linux", ("aarch64", "arm64"), machines.ARM_LINUX), ("darwin", ("arm64",), machines.MAC),
                                       ("linux", ("x86_64", "AMD64"), machines.LINUX)]:
            for name in names:
                found = self.finding(system, name)
                self.assertEqual((found.found, found.advice), (": ".join(machines.TRIED[machine]), None))

    def test_the_doctor_says_first_what_was_tried_on_this_machine(self):
        self.assertEqual(doctor.before()[0], machines.finding())

    def test_what_was_never_run_is_not_called_tested(self):
        self.assertIn("never run", self.finding("darwin", "arm64").found)
        self.assertIn("kernel and notebooks not run", self.finding("linux", "aarch64").found)

    def test_an_unknown_machine_is_told_what_to_do_unless_it_brings_its_own_torch(self):
        for machine in [("linux", "riscv64"), ("darwin", "x86_64")]:
            self.assertRegex(self.finding(*machine).advice, "--torch-from PYTHON.*Dockerfile.*Linux x86-64, Linux arm64, macOS arm64")
            self.assertIsNone(self.finding(*machine, own_torch=True).advice)
            self.assertIsNone(self.finding(*machine, libtorch_="/opt/libtorch").advice)

    def test_set_up_on_an_unknown_machine_ends_before_it_begins(self):
        unknown = machines.Finding("machine", "plan9 mips: not known here", "Use another.")
        with mock.patch.object(machines, "finding", return_value=unknown), self.assertRaisesRegex(Problem, "plan9 mips.*Use another"):
            doctor.require_before()

    def test_windows_goes_through_wsl_2(self):
        self.assertIn("wsl --install", self.finding("win32", "AMD64", own_torch=True).advice)
        second = self.finding("linux", "x86_64", release="5.15.153.1-microsoft-standard-WSL2")
        self.assertEqual((second.found, second.advice), ("WSL 2: detected; as Linux x86-64: all tests run", None))
        self.assertIn("--set-version", self.finding("linux", "x86_64", release="4.4.0-19041-Microsoft").advice)

    def test_memory_is_counted_in_bytes_everywhere(self):
        usage = types.SimpleNamespace(ru_maxrss=2048)
        for system, bytes_ in [("linux", 2048 * 1024), ("darwin", 2048)]:
            with mock.patch.object(machines.sys, "platform", system):
                self.assertEqual(machines.peak_bytes(usage), bytes_)


if __name__ == "__main__":
    unittest.main()
