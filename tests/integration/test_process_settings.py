"""Settings of trials in torch, in the process and in their thread: they apply only while the trials run, and not to other code."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo.config
import torch._inductor.config
from support.definition import LINE, Definition
from support.engine_thread import EngineThread
from support.waiting import LIMIT_S

from detjupyter.definition.config import Config
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.engine import ambient
from detjupyter.framework.adapter import TrialAdapter, TrialOptions
from detjupyter.framework.framework import build_adapter

pytestmark = pytest.mark.filterwarnings("ignore:torch.set_default_tensor_type")  # deprecated, and still called
backends: Any = torch.backends  # Any: its attributes are made at run time


def in_a_new_thread(read: Callable[[], Any]) -> Any:
    """Return what a new thread reads: the number of torch's threads is kept by each thread that has used it."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(read()))
    thread.start()
    thread.join(LIMIT_S)
    return found[0]


#: What the trial calls, and what then differs.
CHANGES: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "set_default_dtype": (lambda: torch.set_default_dtype(torch.float64), lambda: torch.zeros(1).dtype),
    "set_default_tensor_type": (lambda: torch.set_default_tensor_type(torch.DoubleTensor), lambda: torch.zeros(1).type()),
    "use_deterministic_algorithms": (
        lambda: torch.use_deterministic_algorithms(True, warn_only=True),
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
    ),
    "set_deterministic_debug_mode": (lambda: torch.set_deterministic_debug_mode("error"), torch.get_deterministic_debug_mode),
    "fill_uninitialized_memory": (
        lambda: setattr(torch.utils.deterministic, "fill_uninitialized_memory", False),
        lambda: torch.utils.deterministic.fill_uninitialized_memory,
    ),
    "set_float32_matmul_precision": (lambda: torch.set_float32_matmul_precision("medium"), torch.get_float32_matmul_precision),
    "matmul.allow_tf32": (lambda: setattr(backends.cuda.matmul, "allow_tf32", True), lambda: backends.cuda.matmul.allow_tf32),
    "cudnn.allow_tf32": (lambda: setattr(backends.cudnn, "allow_tf32", False), lambda: backends.cudnn.allow_tf32),
    "cudnn.conv.fp32_precision": (
        lambda: setattr(backends.cudnn.conv, "fp32_precision", "ieee"),
        lambda: backends.cudnn.conv.fp32_precision,
    ),
    "fp32_precision": (lambda: setattr(backends, "fp32_precision", "tf32"), lambda: backends.fp32_precision),
    "matmul.fp32_precision": (
        lambda: setattr(backends.cuda.matmul, "fp32_precision", "tf32"),
        lambda: backends.cuda.matmul.fp32_precision,
    ),
    "cudnn.benchmark": (lambda: setattr(backends.cudnn, "benchmark", True), lambda: backends.cudnn.benchmark),
    "cudnn.deterministic": (lambda: setattr(backends.cudnn, "deterministic", True), lambda: backends.cudnn.deterministic),
    "cudnn.enabled": (lambda: setattr(backends.cudnn, "enabled", False), lambda: backends.cudnn.enabled),
    "allow_fp16_reduced_precision_reduction": (
        lambda: setattr(backends.cuda.matmul, "allow_fp16_reduced_precision_reduction", False),
        lambda: backends.cuda.matmul.allow_fp16_reduced_precision_reduction,
    ),
    "allow_bf16_reduced_precision_reduction": (
        lambda: setattr(backends.cuda.matmul, "allow_bf16_reduced_precision_reduction", False),
        lambda: backends.cuda.matmul.allow_bf16_reduced_precision_reduction,
    ),
    "enable_flash_sdp": (lambda: backends.cuda.enable_flash_sdp(False), backends.cuda.flash_sdp_enabled),
    "enable_mem_efficient_sdp": (lambda: backends.cuda.enable_mem_efficient_sdp(False), backends.cuda.mem_efficient_sdp_enabled),
    "set_detect_anomaly": (lambda: torch.autograd.set_detect_anomaly(True), torch.is_anomaly_enabled),
    "set_num_threads": (lambda: torch.set_num_threads(torch.get_num_threads() + 1), lambda: in_a_new_thread(torch.get_num_threads)),
    "set_printoptions": (lambda: torch.set_printoptions(precision=2), lambda: str(torch.tensor([1 / 3]))),
    "mkldnn.deterministic": (lambda: setattr(backends.mkldnn, "deterministic", True), lambda: backends.mkldnn.deterministic),
    "nnpack.set_flags": (lambda: backends.nnpack.set_flags(False), torch._C._get_nnpack_enabled),
    "mha.set_fastpath_enabled": (lambda: backends.mha.set_fastpath_enabled(False), lambda: backends.mha.get_fastpath_enabled()),
    "set_overwrite_module_params_on_conversion": (
        lambda: torch.__future__.set_overwrite_module_params_on_conversion(True),
        torch.__future__.get_overwrite_module_params_on_conversion,
    ),
    "set_default_validate_args": (
        lambda: torch.distributions.Distribution.set_default_validate_args(not torch.distributions.Distribution._validate_args),
        lambda: torch.distributions.Distribution._validate_args,
    ),
    "set_warn_always": (lambda: torch.set_warn_always(True), torch.is_warn_always_enabled),
    "set_sharing_strategy": (
        lambda: torch.multiprocessing.set_sharing_strategy("file_system"),
        torch.multiprocessing.get_sharing_strategy,
    ),
}
each_change = pytest.mark.parametrize(("change", "read"), CHANGES.values(), ids=CHANGES.keys())

#: What belongs to a thread.
IN_THREAD: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "set_default_device": (lambda: torch.set_default_device("meta"), lambda: str(torch.zeros(1).device)),
    "set_grad_enabled": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "autocast entered by hand": (
        lambda: torch.autocast("cpu", torch.bfloat16).__enter__(),
        lambda: (torch.ones(2, 2) @ torch.ones(2, 2)).dtype,
    ),
    "np.seterr": (lambda: np.seterr(over="raise"), lambda: np.geterr()["over"]),
    "dynamo": (lambda: setattr(torch._dynamo.config, "recompile_limit", 99), lambda: torch._dynamo.config.recompile_limit),
    "inductor": (lambda: setattr(torch._inductor.config, "max_autotune", True), lambda: torch._inductor.config.max_autotune),
}


@pytest.fixture
def engine() -> Iterator[EngineThread]:
    """Return the thread of a trial."""
    with EngineThread() as engine:
        yield engine


class TestProcess:
    """What all threads see."""

    @each_change
    def test_what_a_trial_sets_holds_in_its_later_work_and_nowhere_else(
        self, engine: EngineThread, change: Callable[[], object], read: Callable[[], object]
    ) -> None:
        """Set at import, read in ``train_batch``; cells and another trial see what was there before."""
        before = read()
        engine.work(change)
        assert read() == before
        with EngineThread() as other:
            assert other.work(read) == before
            seen = engine.work(read)
            assert seen != before
            assert other.work(read) == before
        assert engine.work(read) == seen
        assert read() == before

    @each_change
    def test_what_a_failing_batch_has_set_is_put_back(
        self, engine: EngineThread, change: Callable[[], object], read: Callable[[], object]
    ) -> None:
        """The first thing that the trial sets, and its last."""

        def fail() -> None:
            change()
            raise RuntimeError("the trial's own")

        before = read()
        engine.work(lambda: None)
        with pytest.raises(RuntimeError, match="the trial's own"):
            engine.work(fail)
        assert read() == before

    @pytest.mark.parametrize("first", ["allow_tf32", "fp32_precision"])
    def test_precisions_set_in_the_old_way_and_in_the_new_way_are_each_put_back(self, engine: EngineThread, first: str) -> None:
        """Torch refuses to name the old ones when new ones are set: after the trial, the cell's own way still works."""
        if first == "fp32_precision":
            backends.cuda.matmul.fp32_precision = "tf32"  # a cell
            try:
                engine.work(lambda: torch.set_float32_matmul_precision("highest"))
                assert backends.cuda.matmul.fp32_precision == "tf32"
            finally:
                backends.cuda.matmul.fp32_precision = "none"
                torch.set_float32_matmul_precision("highest")
        else:
            engine.work(lambda: setattr(backends.cuda.matmul, "fp32_precision", "tf32"))
            assert torch.get_float32_matmul_precision() == "highest"
            assert backends.cuda.matmul.allow_tf32 is False
            assert engine.work(lambda: backends.cuda.matmul.fp32_precision) == "tf32"

    def test_a_trial_that_imports_torch_first_changes_nothing_in_cells(self) -> None:
        """In a new kernel the definition's own import of torch is the first one, before any setting could be read."""
        code = """
            import sys
            from detjupyter.engine.settings import ProcessSettings
            trial, other = ProcessSettings(), ProcessSettings()
            assert "torch" not in sys.modules
            with trial.active():
                import torch
                torch.set_default_dtype(torch.float64)
                torch.use_deterministic_algorithms(True)
                torch.autograd.set_detect_anomaly(True)
                torch.set_float32_matmul_precision("high")
                torch.backends.cudnn.benchmark = True
            def now():
                return (torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled(), torch.is_anomaly_enabled(),
                        torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark)
            cell = now()
            assert cell == (torch.float32, False, False, "highest", False), cell
            with other.active():
                assert now() == cell
            with trial.active():
                assert now() == (torch.float64, True, True, "high", True), now()
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=LIMIT_S)
        assert done.returncode == 0, done.stderr


class TestThread:
    """What belongs to a thread: from the trial's import on in the trial's, and what the cell had set before."""

    @pytest.mark.parametrize(("change", "read"), IN_THREAD.values(), ids=IN_THREAD.keys())
    def test_what_a_trial_sets_stays_in_its_thread(
        self, engine: EngineThread, change: Callable[[], object], read: Callable[[], object]
    ) -> None:
        """Set in ``__init__``, read in ``train_batch``, and not in a cell."""
        before = read()
        engine.work(change)
        assert engine.work(read) != before
        assert read() == before

    @pytest.mark.parametrize(("change", "read"), IN_THREAD.values(), ids=IN_THREAD.keys())
    @pytest.mark.parametrize("carried", ["values and context", "values"])
    def test_what_a_cell_has_set_before_the_load_holds_in_the_trials_thread(
        self, change: Callable[[], object], read: Callable[[], object], carried: str
    ) -> None:
        """Also where only plain data travels, as to another process; what the cell sets later does not."""
        before = read()
        seen: list[Any] = []

        def cell() -> None:
            change()
            values = ambient.capture()
            assert all(type(value) in (str, int, float, bool) for value in values.values())
            seen.append(read())
            if carried == "values and context":
                with EngineThread(values) as engine:
                    seen.append(engine.work(read))
            else:
                seen.append(in_a_new_thread(lambda: (ambient.apply(values), read())[1]))

        thread = threading.Thread(target=cell)  # a cell of its own: nothing of it is left
        thread.start()
        thread.join(LIMIT_S)
        assert seen[0] != before
        assert seen[0] == seen[1]

    def test_a_device_with_block_around_the_load_counts(self) -> None:
        """``with torch.device("meta")`` is the default device as well."""
        with torch.device("meta"):
            values = ambient.capture()
        assert values["torch.default_device"] == "meta"
        with EngineThread(values) as engine:
            assert str(engine.work(lambda: torch.zeros(1).device)) == "meta"

    def test_lists_of_the_compilers_options_are_the_threads_own(self) -> None:
        """A copied context holds the same list; what the trial adds to it is not in the cell's."""
        options: Any = torch._inductor.config
        assert options.post_grad_fusion_options == {}  # having been read, it is kept in this context
        with EngineThread() as engine:
            engine.work(lambda: options.post_grad_fusion_options.update(mine={}))
            assert engine.work(lambda: options.post_grad_fusion_options) == {"mine": {}}
            assert options.post_grad_fusion_options == {}

    def test_what_torch_remembers_of_the_compilers_options_is_the_threads_own(self) -> None:
        """It goes through a set of changed names without a lock; in a copied context, another thread would add to the same set."""
        options: Any = torch._inductor.config
        options.save_config_portable(readonly_values=True)
        changed: Any = options._get_dict_dirty_keys_var.get()
        before = set(changed)
        with EngineThread() as engine:
            engine.work(lambda: setattr(options, "max_autotune", True))
            assert engine.work(lambda: options.save_config_portable(readonly_values=True)["max_autotune"]) is True
            assert changed == before
            assert options.save_config_portable(readonly_values=True)["max_autotune"] is False

    def test_a_trial_built_in_the_callers_thread_leaves_the_thread_as_it_was(self) -> None:
        """``kept``, as for the trial of a checkpoint."""
        with ambient.kept():
            torch.set_default_device("meta")
            torch.set_grad_enabled(False)
            torch.set_autocast_enabled("cpu", True)
        assert str(torch.zeros(1).device) == "cpu"
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")


@contextmanager
def trained(definition: Definition, batches: int = 3) -> Iterator[tuple[EngineThread, TrialAdapter]]:
    """Load a definition and train it, all of it in one thread; its trial can be used in the block, in that thread."""
    loaded = ModelDefinition(definition.root)

    def build() -> TrialAdapter:
        found = loaded.load("model_def:LineTrial")
        return build_adapter(TrialOptions(found.trial_class, Config(), 1, "cpu"))

    with EngineThread() as engine:
        adapter = engine.work(build)
        engine.work(lambda: adapter.begin(0))
        for batch in range(batches):
            engine.work(lambda batch=batch: adapter.train_batch(batch))
        yield engine, adapter


class TestDefinitions:
    """Real definitions, built and trained in the thread."""

    def test_the_settings_of_a_definition_and_of_a_cell_are_in_force_while_it_trains(self, define: Callable[..., Definition]) -> None:
        """Set at import, in the constructor and in a cell before the load: compiler options, default device, numpy's errors."""
        with_settings = LINE.replace(
            "        self.context = context\n",
            """        self.context = context
        torch._dynamo.config.accumulated_recompile_limit = 777
        np.seterr(over="raise")
        self.seen = []
""",
        ).replace(
            "        x, y = batch\n        loss",
            """        x, y = batch
        limits = torch._dynamo.config.recompile_limit, torch._dynamo.config.accumulated_recompile_limit
        device = str(torch.get_default_device())
        self.seen.append((*limits, torch._inductor.config.max_autotune, device, np.geterr()["over"]))
        loss""",
        )
        imports = "import torch._dynamo.config, torch._inductor.config, numpy as np\ntorch._dynamo.config.recompile_limit = 99\n"
        definition = define(model_def=imports + with_settings)

        def now() -> tuple[Any, ...]:
            return torch._dynamo.config.recompile_limit, torch._dynamo.config.accumulated_recompile_limit, np.geterr()["over"]

        def cell() -> None:
            torch._inductor.config.max_autotune = True
            torch.set_default_device("cpu:0")
            before = now()
            with trained(definition) as (_, adapter):
                seen.extend(adapter.trial.seen)
            seen.append(before == now())

        seen: list[Any] = []
        thread = threading.Thread(target=cell)
        thread.start()
        thread.join(LIMIT_S)
        assert seen == [(99, 777, True, "cpu:0", "raise")] * 3 + [True]

    def test_two_definitions_in_turn_each_have_their_dtype(self, define: Callable[..., Definition]) -> None:
        """One is of float64 from its import on; the other one, built and trained between its batches, is of float32, and so are cells."""
        double = define("double", model_def="import torch\ntorch.set_default_dtype(torch.float64)\n" + LINE)
        single = define("single", model_def=LINE)

        def dtypes(adapter: TrialAdapter) -> set[torch.dtype]:
            return {parameter.dtype for parameter in adapter.trial.model.parameters()}

        with trained(double) as (engine, one):
            assert torch.zeros(1).dtype is torch.float32
            with trained(single) as (_, other):
                assert dtypes(one) == {torch.float64}
                assert dtypes(other) == {torch.float32}
                assert engine.work(lambda: torch.zeros(1).dtype) is torch.float64
                engine.work(lambda: one.train_batch(3))
                assert torch.zeros(1).dtype is torch.float32

    def test_what_is_bound_to_a_thread_works_from_the_constructor_to_the_last_batch(self, define: Callable[..., Definition]) -> None:
        """A connection of SQLite, a context variable, a decimal context, an event loop, and a handler for a signal."""
        with_bound = LINE.replace(
            "        self.context = context\n",
            """        self.context = context
        self.database = sqlite3.connect(":memory:")
        variable.set("mine")
        decimal.getcontext().prec = 5
        signal.signal(signal.SIGINT, lambda *_: None)
        self.seen = []
""",
        ).replace(
            "        x, y = batch\n        loss",
            """        x, y = batch
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        asyncio.get_event_loop().run_until_complete(asyncio.sleep(0))
        self.seen.append((self.database.execute("select 1").fetchone()[0], variable.get(), str(1 / decimal.Decimal(3))))
        loss""",
        )
        imports = "import asyncio, decimal, signal, sqlite3\nfrom contextvars import ContextVar\nvariable = ContextVar('variable')\n"
        definition = define(model_def=imports + with_bound)
        with trained(definition) as (engine, adapter):
            assert adapter.trial.seen == [(1, "mine", "0.33333")] * 3
            assert engine.notes == ["signal.signal(SIGINT, …) has no effect in a background training."]
