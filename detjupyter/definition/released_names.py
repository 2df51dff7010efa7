"""The names of Determined's releases, by module: what a model definition can import from a real installation.

Collected from the syntax trees of the packages ``determined`` (0.12.4, 0.12.13, 0.13.13, 0.15.6, 0.17.15, 0.19.11, 0.21.2, 0.24.0, 0.26.7,
0.32.1, 0.36.0 and 0.38.1) and ``determined-common`` (0.12.13 and 0.13.13). The names of a private module (``determined.core._searcher``)
are in the module that contains it, and those of ``determined_common`` in ``determined.common``.

The table contains only names and no code. Names that the modules themselves import are included, since definitions can import them, too.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable

#: Large parts that no trial uses. Every name in them counts as one of Determined's.
_WHOLE = (
    "determined._swagger",
    "determined.cli",
    "determined.common.api",
    "determined.common.experimental",
    "determined.common.schemas",
    "determined.common.storage",
    "determined.common.streams",
    "determined.deploy",
    "determined.exec",
    "determined.gpu",
    "determined.ipc",
    "determined.launch",
    "determined.layers",
)


def is_released(module: str, name: str) -> bool:
    """Return whether a release of Determined has ``name`` in ``module``, as a class, a function, a value or a module.

    Examples:
        >>> is_released("determined.keras", "TFKerasTrial"), is_released("determined", "anything")
        (True, False)
    """
    module = _public(module)
    return f"{module}.".startswith(tuple(f"{whole}." for whole in _WHOLE)) or name in names_of(module)


def is_module(name: str) -> bool:
    """Return whether ``name``, which is written as in a definition, is a public module of a release."""
    public = name.replace("determined_common", "determined.common", 1)
    return public in _NAMES or public in _WHOLE


def can_be_module(name: str) -> bool:
    """Return whether ``name`` is a module of a release, or can be one: a private name, or a name in a part that is not listed."""
    parent, _, last = name.rpartition(".")
    is_open = f"{_public(parent)}.".startswith(tuple(f"{whole}." for whole in _WHOLE))
    return is_module(name) or ((last.startswith("_") or is_open) and is_released(parent, last))


def similar_name(module: str, name: str, offered: Iterable[str] = ()) -> str | None:
    """Return the name in ``module`` that is most similar to ``name``, None if none is similar.

    Args:
        module: The module, as it is written in a definition.
        name: The name that it does not have.
        offered: The names that it offers here; they are preferred.
    """
    for known in (offered, names_of(module)):
        close = difflib.get_close_matches(name, known, 1, cutoff=0.75)
        if close:
            return close[0]
    return None


def names_of(module: str) -> frozenset[str]:
    """Return the names of a module; none if no release has it."""
    return _split(_public(module))


@functools.cache
def _split(module: str) -> frozenset[str]:
    return frozenset(_NAMES.get(module, "").split())


def _public(module: str) -> str:
    """Return the module whose entry has the names of ``module``."""
    parts = module.replace("determined_common", "determined.common", 1).split(".")
    private = next((index for index, part in enumerate(parts) if part.startswith("_") and parts[0] == "determined"), len(parts))
    return ".".join(parts if ".".join(parts[: private + 1]) in _WHOLE else parts[:private])


_NAMES = {
    "determined": (
        "CallbackTrialController Categorical CheckpointContext ClusterInfo Constant Context DEFAULT_CLUSTER_INFO_PATH "
        "DEFAULT_RENDEZVOUS_INFO_PATH DEFAULT_RESOURCES_INFO_PATH DEFAULT_TEST_CONFIG DEFAULT_TRIAL_INFO_PATH DataLayerContext "
        "DistributedContext Double DownloadMode DummyCheckpointContext DummyDistributedContext DummyPreemptContext DummySearcherContext "
        "DummySearcherOperation DummyTrainContext EarlyExitReason EnvContext ExperimentConfig Integer InvalidHP LOG_FORMAT LegacyTrial "
        "Log LoopTrialController NativeContext NoCachePathFinder PreemptContext PreemptMode RendezvousInfo ResourcesInfo SearcherContext "
        "SearcherMode SearcherOperation Session StepID StorageTypes TrainContext Trial TrialContext TrialController TrialInfo Unit "
        "analytics api as_dict callback certs check cli common constants core deploy errors estimator exec experimental get_cluster_info "
        "get_rank_aware_path get_rng_state getenv_int gpu horovod hvd import_from_path init init_container_storage_path ipc keras launch "
        "layers lightning load modules_from_dir monkey_patch profile profiler pytorch searcher set_rng_state storage tensorboard "
        "tensorpack transformers types util workload _CacheableDecorator _DistributedBackend _PreemptionWatcher _TrainContext "
        "__version__ _catch_init_invalid_hp _catch_sys_exit _checkpoint _context _core _data_layer _distributed _dummy_init _env_context "
        "_execution _experiment_config _generate_random_hparam_values _get_gpus _get_training_port_offset _hparam _import "
        "_in_import_from_path _info _load_trial_for_checkpoint_export _local_execution _local_execution_manager _logging "
        "_make_local_execution_env _make_local_execution_exp_config _make_test_experiment_config _parse_searcher_units _preempt "
        "_rendezvous_info _searcher _set_logger _swagger _tf_rng _train _train_context _trial _trial_context _trial_controller"
    ),
    "determined.callback": "Callback",
    "determined.common": (
        "api check constants context declarative_argparse detignore detlomond experimental requests schemas set_logger storage streams "
        "types util v1file_utils __version__ _logging"
    ),
    "determined.common.check": (
        "CheckFailedError check_eq check_eq_len check_false check_gt check_gt_eq check_in check_isinstance check_issubclass check_len "
        "check_lt check_lt_eq check_none check_not_eq check_not_in check_not_isinstance check_not_none check_true check_type eq "
        "equal_lengths false gt gt_eq is_in is_instance is_none is_not_instance is_not_none is_subclass is_type len_eq lt lt_eq not_eq "
        "not_in true"
    ),
    "determined.common.constants": (
        "ACTIVE CANCELED COMPLETED DEFAULT_CHECKPOINT_PATH DEFAULT_DETERMINED_PASSWORD DEFAULT_DETERMINED_USER DEFAULT_DETIGNORE DELETED "
        "ERROR MAX_CONTEXT_SIZE MAX_ENCODED_SIZE MAX_HTTP_REQUEST_SIZE MAX_METRICS_SIZE MAX_WEBSOCKET_MSG_SIZE SHARED_FS_CONTAINER_PATH "
        "TERMINAL_STATES"
    ),
    "determined.common.context": (
        "Context ContextItem LegacyContext check constants detignore get_invalid_model_def_path_message read_context read_legacy_context "
        "read_single_file read_v1_context sizeof_fmt util v1File_from_local_dir v1File_from_local_file v1File_size v1File_to_dict "
        "v1file_utils _Builder"
    ),
    "determined.common.declarative_argparse": (
        "Arg ArgGroup ArgsDescription BoolOptArg Cmd Group add_args deprecation_warning generate_aliases help_func make_prefixes "
        "string_to_bool util wrap_func"
    ),
    "determined.common.detignore": "constants make_shutil_ignore os_walk_to_v1Files v1file_utils _build_detignore_pathspec",
    "determined.common.detlomond": "CustomSSLWebsocketSession WebSocket api certs",
    "determined.common.requests": "HTTPAdapter Session request",
    "determined.common.types": "ExperimentID StepID TrialID",
    "determined.common.util": (
        "chunks debug_mode deprecated get_config_path get_container_user_name get_container_user_token get_default_master_address "
        "get_det_password_from_env get_det_user_token_from_env get_det_username_from_env get_max_retries_config is_protobuf_timestamp "
        "parse_protobuf_timestamp preserve_random_state safe_load_yaml_with_exceptions sizeof_fmt strtobool wait_for yaml yaml_safe_dump "
        "yaml_safe_load _INFERENCE _LEGACY_TRAINING _LEGACY_VALIDATION _get_yaml _yaml _yamls"
    ),
    "determined.common.v1file_utils": "v1File_from_local_dir v1File_from_local_file v1File_size v1File_to_dict",
    "determined.constants": (
        "AUTO_DETECT_TRIAL_RUNNER_NETWORK_INTERFACE CONTAINER_STDERR CONTAINER_STDOUT DEFAULT_BATCHES_PER_STEP DEFAULT_EXP_CFG "
        "DEFAULT_OPTIMIZATIONS DEFAULT_RESOURCES_CFG DEFAULT_SCHEDULING_UNIT DEFAULT_SEARCHER_CFG DTRAIN_SSH_PORT EXPERIMENT_GLOBALS_KEY "
        "HOROVOD_AUTOTUNE_LOG_FILEPATH HOROVOD_GLOO_RENDEZVOUS_PORT HOROVOD_GLOO_TIMEOUT_SECONDS HOROVOD_SSH_PORT "
        "HOROVOD_STARTUP_TIMEOUT_SECONDS INTER_TRAIN_PROCESS_COMM_PORT INTER_TRAIN_PROCESS_COMM_PORT_1 INTER_TRAIN_PROCESS_COMM_PORT_2 "
        "LOCAL_RENDEZVOUS_PORT MANAGED_TRAINING_MODEL_COPY MAX_SLOTS_PER_AGENT TASK_ENV_REPO TRAIN_PROCESS_ENVIRONMENT_VARIABLE_PATH "
        "WORKDIR_CONTAINER_PATH"
    ),
    "determined.core": (
        "CheckpointContext Context DistributedContext DownloadMode DummyCheckpointContext DummyDistributedContext "
        "DummyExperimentalCoreContext DummyPreemptContext DummyProfilerContext DummySearcherContext DummySearcherOperation "
        "DummyTrainContext EarlyExitReason ExperimentalCoreContext LOG_BATCH_MAX_SIZE PreemptContext PreemptMode ProfilerContext "
        "SHIPPER_FAILURE_BACKOFF_SECONDS SHIPPER_FLUSH_INTERVAL SHIP_QUEUE_MAX_SIZE SearcherContext SearcherContextMissing SearcherMode "
        "SearcherOperation TensorboardMode TrainContext Unit api authentication certs checkpoint constants core errors init ipc "
        "merge_metadata merge_resources model pynvml shared storage tensorboard util _CPU _Collector _Disk _DummyMetricsContext "
        "_ExitHook _GPU _Heartbeat _HeartbeatReporter _Interceptor _LogSender _LogShipper _ManagedTrialHeartbeat _ManagedTrialLogShipper "
        "_Memory _MetricGroupCollector _MetricsContext _Network _PreemptionWatcher _QueueElement _Shipper _ShutdownMessage _TrialMetrics "
        "_UnmanagedTrialHeartbeat _UnmanagedTrialLogShipper _average_metric_samples_depth_one _checkpoint _context _distributed "
        "_dummy_init _experimental _get_storage_manager _get_training_port_offset _heartbeat _install_stacktrace_on_sigusr1 _log_shipper "
        "_merge_metadata _metrics _parse_searcher_max_length _parse_searcher_units _preempt _profiler _run_on_rank_0_and_broadcast "
        "_run_prepare _searcher _tensorboard_mode _train"
    ),
    "determined.errors": (
        "CheckpointNotFound CheckpointStateException EnterpriseOnlyError InternalException InvalidCheckpointException "
        "InvalidConfigurationException InvalidDataTypeException InvalidExperimentException InvalidModelException MultipleDownloadsFailed "
        "NoDirectStorageAccess ProxiedDownloadFailed SkipWorkloadException StopLoadingImplementation WorkerError "
        "WorkerFinishedGracefully"
    ),
    "determined.estimator": (
        "Checkpoint DeterminedControlHook DeterminedEarlyStoppingHook EstimatorContext EstimatorExperimentalContext "
        "EstimatorNativeContext EstimatorTrial EstimatorTrialContext EstimatorTrialController MetricReducer RunHook "
        "ServingInputReceiverFn VERY_LARGE_NUMBER check collect_worker_checkpoints_from_subdirectories default_allgather_fn "
        "delete_all_checkpoints_except_most_recent estimator get_rng_state horovod hvd ipc layers load_estimator_from_checkpoint_path "
        "load_global_step_from_checkpoint monkey_patch move_tensorboard_files move_tf_events patch_estimator_eval_on_checkpoint "
        "set_rng_state split_checkpoint_filename tensorboard tensorflow util workload _DistributedMetricMaker _EstimatorReducerContext "
        "_SimpleMetricReducer _callback _cleanup_after_train_step _cleanup_after_validation_step _core _data_layer _deconstruct_metric "
        "_estimator_context _estimator_patches _estimator_trial _load _reconstruct_metric _reducer _scan_checkpoint_directory "
        "_update_checkpoint_path_in_state_file _util"
    ),
    "determined.experimental": (
        "Checkpoint Determined ExperimentReference Mode Model ModelOrderBy ModelSortBy TrialOrderBy TrialReference TrialSortBy api "
        "authentication check client constants context core_v2 create create_experiment create_trial_instance errors estimator "
        "generate_test_hparam_values get_gpus gpu horovod init_native keras load local_execution_manager make_local_experiment_config "
        "make_test_experiment_env make_test_workloads set_command_default test_one_batch unmanaged util workload _get_current_args "
        "_in_ipython _init_cluster_mode _init_native _load_trial_on_local _make_test_workloads _native _set_command_default "
        "_stop_loading_implementation _submit_experiment"
    ),
    "determined.experimental.client": (
        "Checkpoint CheckpointOrderBy CheckpointSortBy CheckpointState Determined DownloadMode Experiment ExperimentOrderBy "
        "ExperimentReference ExperimentSortBy ExperimentState Model ModelOrderBy ModelSortBy ModelVersion Oauth2ScimClient OrderBy "
        "Project ResourcePool Session TrainingMetrics Trial TrialMetrics TrialOrderBy TrialReference TrialSortBy TrialState User "
        "ValidationMetrics Workspace add_oauth_client create_experiment create_model create_user create_workspace delete_workspace "
        "get_checkpoint get_experiment get_model get_model_by_id get_model_labels get_models get_session_username get_trial "
        "get_user_by_id get_user_by_name get_workspace iter_trials_metrics list_experiments list_models list_oauth_clients list_users "
        "list_workspaces login logout remove_oauth_client stream_trials_metrics stream_trials_training_metrics "
        "stream_trials_validation_metrics whoami _TrialMetrics _api _determined _get_singleton_session _require_singleton "
        "_stream_trials_metrics"
    ),
    "determined.experimental.core_v2": (
        "Config DefaultConfig DistributedContext PreemptMode TensorboardMode UnmanagedConfig api authentication certs checkpoint close "
        "constants core core_v2 distributed experimental info init init_context preempt searcher storage tensorboard train "
        "url_reverse_webui_exp_view util _atexit_registered _build_unmanaged_trial_cluster_info _client _context _core_context_v2 "
        "_core_v2 _create_unmanaged_cluster_info _create_unmanaged_experiment _create_unmanaged_experiment_inner _create_unmanaged_trial "
        "_create_unmanaged_trial_cluster_info _create_unmanaged_trial_inner _default_storage_manager _get_cluster_id "
        "_get_or_create_experiment_and_trial _init_context _make_v2_context _merge_config _put_unmanaged_experiment "
        "_put_unmanaged_experiment_inner _put_unmanaged_trial _put_unmanaged_trial_inner _run_on_rank_0_and_broadcast _set_globals "
        "_show_deprecated_msg _start_trial _start_trial_inner _unmanaged _url_reverse_webui_exp_view"
    ),
    "determined.experimental.estimator": "estimator experimental init _estimator_native",
    "determined.experimental.keras": "experimental init keras _tf_keras_native",
    "determined.experimental.unmanaged": (
        "Context Determined api build_unmanaged_trial_cluster_info core create_unmanaged_cluster_info create_unmanaged_experiment "
        "create_unmanaged_trial create_unmanaged_trial_cluster_info init storage tensorboard url_reverse_webui_exp_view yaml "
        "_create_unmanaged_trial _get_cluster_id _get_storage_manager _install_stacktrace_on_sigusr1"
    ),
    "determined.horovod": (
        "ExperimentConfig HorovodContext RendezvousInfo check constants create_hostlist_arg create_network_interface_arg_if_specified "
        "create_performance_args create_run_command hvd _PolyHorovod"
    ),
    "determined.keras": (
        "ArrayLike DeterminedCallback DeterminedEarlyStoppingCallback DeterminedProfiler IMPOSSIBLY_LARGE_EPOCHS InputData Queue "
        "SequenceAdapter TFKerasContext TFKerasExperimentalContext TFKerasNativeContext TFKerasTensorBoard TFKerasTrainConfig "
        "TFKerasTrial TFKerasTrialContext TFKerasTrialController TensorBoard TrialControllerMultiplexer WaitForInstructionsCallback "
        "Worker callbacks check core det_callbacks errors get_horovod_config get_rng_state horovod hvd ignore_close_message "
        "is_tf2_enabled keras layers load_model_from_checkpoint_path load_optimizer_weights monkey_patch profile set_rng_state "
        "tensorboard tensorflow util workload _ArgNotProvided _ArrayLikeAdapter _Enqueuer _MultiprocessingEnqueuer _ParallelEnqueuer "
        "_Sampler _SequenceWithOffset _ThreadingEnqueuer _TrainingDataLayerTFDatasetManager _TrainingInputManager "
        "_TrainingSequenceAdapterManager _TrainingTFDatasetManager _ValidationDataLayerTFDatasetManager _ValidationInputManager "
        "_ValidationSequenceAdapterManager _ValidationTFDatasetManager _WorkerlessEnqueuer _adapt_data_from_data_loader "
        "_adapt_data_from_fit_args _adapt_keras_data _arg_not_provided _build_enqueuer _callback "
        "_check_if_aggregation_frequency_will_work _data _data_layer _enqueuer _get_elements_in_multi_arraylike "
        "_get_multi_gpu_model_and_optimizer _get_multi_gpu_model_if_using_native_parallel _get_x_y_and_sample_weight "
        "_init_input_managers _is_dict_of_numpy_array _is_list_of_numpy_array _length_of_multi_arraylike _load _tensorboard_callback "
        "_tf_keras_context _tf_keras_inputs _tf_keras_multi_gpu _tf_keras_patches _tf_keras_trial _tf_rng _worker"
    ),
    "determined.keras.callbacks": (
        "Callback EarlyStopping ReduceLROnPlateau TensorBoard profiler tensorboard _DeterminedHistory _DeterminedProfiler "
        "_DeterminedProgress _MultiplexerBase _PolyLogs _tf_keras_callback_get_state _tf_keras_callback_load_state"
    ),
    "determined.lightning": "experimental",
    "determined.lightning.experimental": "DetLogger core_v2 experimental",
    "determined.load": (
        "RunpyGlobals check convert_notebook_to_python_script get_trial_and_controller_class get_trial_class_from_native "
        "get_trial_controller_class horovod in_runpy load load_controller_from_trial load_native_implementation "
        "load_native_implementation_controller load_trial_implementation load_trial_implementation_controller overwrite_sys_args "
        "parse_trial_class_from_entrypoint prepare_controller prepare_tensorboard running_in_runpy runpy_trial_class tensorboard "
        "trial_class_from_entrypoint workload _load_implementation _load_trial_controller"
    ),
    "determined.monkey_patch": "monkey_patch monkey_patch_decorator",
    "determined.profile": "log_end log_start time_usec _get_base_info _log_event",
    "determined.profiler": (
        "CheckDataExistsFnType DiskReadWriteRateCollector DummyProfilerAgent FinalizeBatchMessage FreeMemoryCollector GIGA "
        "GpuMemoryCollector GpuUtilCollector LOG_NAMESPACE MAX_COLLECTION_SECONDS Measurement MetricBatch MetricType "
        "MetricsBatcherThread NamedMeasurement NetThroughputCollector PreemptibleTimer ProfilerAgent ProfilerSenderThread PynvmlWrapper "
        "PynvmlWrapperError SHOULD_PROFILE_GPUS SYSTEM_METRIC_TYPE_ENUM SendBatchFnType ShutdownMessage SimpleCpuUtilCollector "
        "StartMessage SysMetricBatcher SysMetricCollectorThread SysMetricName SysMetricType ThroughputTracker Timing "
        "TrialProfilerMetricsBatch api check pop_until_deadline profiling_metrics_exist"
    ),
    "determined.pytorch": (
        "Batch CheckpointLoadContext ClipGradsL2Norm ClipGradsL2Value DataLoader DistributedBatchSampler Epoch HAVE_AMP LRScheduler "
        "MetricReducer PyTorchCallback PyTorchExperimentalContext PyTorchTrial PyTorchTrialContext PyTorchTrialController Reducer "
        "RepeatBatchSampler ShouldExit SkipBatchSampler TorchData TrainUnit Trainer adapt_batch_sampler amp_import_error apex check "
        "check_gt check_lt core data_length dataloader_next deepspeed default_allgather_fn dsat errors experimental get_base_path gpu "
        "has_param horovod hvd init ipc layers lightning load load_trial_from_checkpoint_path profiler pytorch reset_parameters samplers "
        "tensorboard to_device util workload _Array _Data _LRHelper _PyTorchReducerContext _PyTorchTrialController _ShouldExit "
        "_SimpleReducer _TrainBoundary _TrainBoundaryType _TrialState _WarningLogs _WrappedReducer _average_training_metrics _callback "
        "_check_searcher_length _collate_fn_t _combine_and_average_training_metrics _combine_metrics_across_processes "
        "_convert_metrics_to_numpy _data _dataset_repro_warning _experimental _initialize_distributed_backend _load "
        "_load_pytorch_trial_with_shims _log_tb_metrics _lr_scheduler _metric_utils _prepare_metrics_reducers "
        "_process_combined_metrics_and_batches _pytorch_context _pytorch_trial _reduce_metrics _reducer _set_random_seeds "
        "_simple_reduce_metrics _trainer _trainer_utils _worker_init_fn_t"
    ),
    "determined.pytorch.deepspeed": (
        "DeepSpeedTrial DeepSpeedTrialContext DeepSpeedTrialController ModelParallelUnit TorchWriter Trainer core dataloader_next "
        "ds_loader dsat get_length gpu init layers make_data_parallel_mpu make_deepspeed_mpu merge_dicts overwrite_deepspeed_config "
        "profiler pytorch storage tensorboard util workload _check_searcher_length _core _deepspeed_context _deepspeed_trial "
        "_initialize_distributed_backend _mpu _set_random_seeds _trainer"
    ),
    "determined.pytorch.dsat": (
        "ALL_SEARCH_METHOD_NAMES ARGS_PKL_PATH ASHADSATSearchData ASHADSATSearchMethod AUTOTUNING_ARG_DEFAULTS AUTOTUNING_DICT "
        "AUTOTUNING_RESULTS_PATH BaseDSATSearchMethod BinarySearchDSATSearchMethod CONFIG_KEY CURR_DIR DEFAULT_SEARCH_RUNNER_CONFIG "
        "DEFAULT_ZERO_SEARCH_SPACE DSATModelProfileInfoTrial DSATSearchData DSATTrial DSATTrialTracker GAS_DEFAULT "
        "LARGER_IS_BETTER_METRICS MODEL_INFO_PROFILE_DS_CONFIG MODEL_INFO_PROFILING_PATH OVERWRITE_KEY RandomDSATSearchMethod "
        "SMALLER_IS_BETTER SMALLER_IS_BETTER_METRICS TestDSATSearchMethod USE_DSAT_MODE_KEY allgather_bucket_size_defaults args client "
        "create_experiment defaults det_util dsat dsat_reporting_context get_base_parser get_batch_config_from_mbs_gas_and_slots "
        "get_custom_dsat_exp_conf_from_args get_dict_from_yaml_or_json_path get_ds_config_from_hparams get_full_parser "
        "get_hf_args_with_overwrites get_hf_ds_config_path_from_args get_random_zero_optim_config get_search_method_class "
        "get_search_runner_config_from_args get_split_entrypoint get_zero_stage_search_space main merge_dicts parse_args "
        "reduce_bucket_size_defaults report_json_results run_autotuning searcher smaller_is_better update_hf_args util "
        "_TestDSATSearchMethod _defaults _dsat_search_method _run_dsat _utils"
    ),
    "determined.pytorch.dsat.defaults": (
        "ALL_SEARCH_METHOD_NAMES ARGS_PKL_PATH AUTOTUNING_ARG_DEFAULTS AUTOTUNING_DICT AUTOTUNING_RESULTS_PATH CONFIG_KEY "
        "DEFAULT_SEARCH_RUNNER_CONFIG DEFAULT_ZERO_SEARCH_SPACE GAS_DEFAULT LARGER_IS_BETTER_METRICS MODEL_INFO_PROFILE_DS_CONFIG "
        "MODEL_INFO_PROFILING_PATH OVERWRITE_KEY SMALLER_IS_BETTER SMALLER_IS_BETTER_METRICS USE_DSAT_MODE_KEY "
        "allgather_bucket_size_defaults reduce_bucket_size_defaults"
    ),
    "determined.pytorch.experimental": (
        "DEFAULT_BATCH_SIZE TorchBatchProcessor TorchBatchProcessorContext checkpoint common core get_default_device model pytorch "
        "torch_batch_process _get_storage_information _initialize_default_inference_context _initialize_distributed_backend _load_state "
        "_reduce_metrics _report_progress_to_master _synchronize_and_checkpoint _torch_batch_process _validate_dataloader_kwargs "
        "_validate_iterate_length"
    ),
    "determined.pytorch.lightning": (
        "DataLoader InvalidModelException LRScheduler LightningAdapter PyTorchCallback PyTorchTrial PyTorchTrialContext TorchData check "
        "check_compatibility filter_duplicates has_param monkey_patch override_unsupported_nud pytorch _LightningAdapterState _adapter"
    ),
    "determined.pytorch.samplers": (
        "DistributedBatchSampler DistributedSampler RepeatBatchSampler RepeatSampler ReproducibleShuffleBatchSampler "
        "ReproducibleShuffleSampler SkipBatchSampler SkipSampler check"
    ),
    "determined.searcher": (
        "Close Create EXPERIMENT_ID_FILE ExitedReason LocalSearchRunner Operation Progress RemoteSearchRunner STATE_FILE SearchMethod "
        "SearchRunner SearcherState Shutdown ValidateAfter api client errors experimental searcher _ExperimentInactiveException "
        "_remote_search_runner _search_method _search_runner"
    ),
    "determined.tensorboard": (
        "AzureTensorboardManager BatchMetricWriter MetricWriter S3TensorboardManager SharedFSTensorboardManager TensorboardManager azure "
        "base build directory fetchers gcs get_base_path get_experiment_sync_path get_metric_writer get_sync_path hdfs metric_writers s3 "
        "shared util"
    ),
    "determined.tensorboard.azure": "AzureTensorboardManager base util",
    "determined.tensorboard.base": "PathUploadInfo TensorboardManager get_metric_writer tensorboard util _TensorboardUploadThread",
    "determined.tensorboard.build": (
        "azure base build directory gcs get_base_path get_experiment_sync_path get_rank_if_horovod_process_else_return_zero "
        "get_sync_path hdfs s3 shared shared_storage _full_storage_path _shortcut_to_config"
    ),
    "determined.tensorboard.directory": "DirectoryTensorboardManager shared",
    "determined.tensorboard.fetchers": (
        "AzureFetcher DirectoryFetcher Fetcher GCSFetcher S3Fetcher SharedFSFetcher azure base build directory gcs s3 shared _FETCHERS"
    ),
    "determined.tensorboard.fetchers.azure": "AzureFetcher Fetcher base",
    "determined.tensorboard.fetchers.base": "Fetcher",
    "determined.tensorboard.fetchers.directory": "DirectoryFetcher shared",
    "determined.tensorboard.fetchers.gcs": "Fetcher GCSFetcher base",
    "determined.tensorboard.fetchers.s3": "Fetcher S3Fetcher base",
    "determined.tensorboard.fetchers.shared": "Fetcher SharedFSFetcher base",
    "determined.tensorboard.gcs": "GCSTensorboardManager base normalize_prefix storage util",
    "determined.tensorboard.hdfs": "HDFSTensorboardManager base util",
    "determined.tensorboard.metric_writers": "BatchMetricWriter MetricWriter callback pytorch tensorflow util",
    "determined.tensorboard.metric_writers.callback": "BatchMetricWriter MetricWriter callback util",
    "determined.tensorboard.metric_writers.pytorch": "TorchWriter det_tensorboard tensorboard _TorchWriter",
    "determined.tensorboard.metric_writers.tensorflow": "TFWriter tensorboard",
    "determined.tensorboard.metric_writers.util": "is_numerical_scalar",
    "determined.tensorboard.s3": "S3TensorboardManager base normalize_prefix storage util",
    "determined.tensorboard.shared": "SharedFSTensorboardManager base util _full_storage_dir",
    "determined.tensorboard.util": (
        "find_tb_files get_pytorch_profiler_file_extension get_rank_aware_path profiler_file_extensions pytorch_profiler_file_extensions "
        "pytorch_profiler_file_pattern tb_file_types _get_rank_aware_path_pytorch_profiler"
    ),
    "determined.tensorpack": (
        "CustomInferenceRunner CustomScalarStats Evaluator IMPOSSIBLY_LARGE_EPOCHS ManagerCallback NamedTensorsEvaluator SchedulePoint "
        "ScheduleSetter TFEventWriter TensorpackTrial TensorpackTrialController check horovod hvd ignore_close_message "
        "is_determined_ai_tensorpack monkey_patch pairs replace_old_step_callback set_default_recovery tensorboard workload _monitors "
        "_tensorpack_patches _tensorpack_trial"
    ),
    "determined.transformers": "DetCallback EVAL TEST TRAIN TRAIN_AVG get_ds_config_path_from_args get_metric_type _hf_callback",
    "determined.util": (
        "EnvContext calculate_batch_sizes check check_sshd constants deprecated detignore download_gcs_blob_with_backoff "
        "filter_duplicates force_create_symlink forward_signals get_member_func has_param humanize_float is_numerical_scalar "
        "is_overridden json_encode legacy_trial_entrypoint_to_script make_metrics make_timing_log mask_checkpoint_storage "
        "mask_config_dict match_legacy_trial_class merge_dicts rmtree_nfs_safe signal_process_tree util validate_batch_metrics "
        "wrap_metrics write_checkpoint_metadata write_user_code _dict_to_list _list_to_dict"
    ),
    "determined.workload": (
        "Args ExperimentID InvalidHP Metrics Response ResponseFunc Skipped Source StepID Stream TrialID Workload "
        "WorkloadResponseInterceptor check checkpoint_workload ignore_workload_response terminate_workload train_workload "
        "validation_workload"
    ),
}
