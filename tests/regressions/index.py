"""Which test holds the opposite of each bug of the published client, by the number of the bug.

The numbers are those of the list of bugs of `strait-python` 0.1.1, and all of them are here. A bug
that has two halves has two tests.
"""

from __future__ import annotations

_AUTHORING = "tests/authoring/test_published_bugs.py::"
_BUDGET = "tests/composition/test_budget.py::"
_CHECKPOINTS = "tests/composition/test_checkpoints.py::"
_PAGING = "tests/composition/test_paging.py::"
_RESULT = "tests/composition/test_result.py::"
_RETRY = "tests/composition/test_retry.py::"
_WAITING = "tests/composition/test_waiting.py::"
_ADDRESSES = "tests/client/test_addresses.py::"
_CALLS = "tests/client/test_calls.py::"
_CONFIG = "tests/client/test_config.py::"
_ERRORS = "tests/client/test_errors.py::"
_FLOWS = "tests/client/test_flows.py::"
_HOOKS = "tests/client/test_middleware.py::"
_MODELS = "tests/client/test_models.py::"
_OPTIONS = "tests/client/test_options.py::"
_SSE = "tests/client/test_sse.py::"
_STREAMS = "tests/client/test_streams.py::"
_TRANSPORT = "tests/client/test_transport.py::"
_UNADDRESSABLE = f"{_ADDRESSES}test_what_no_address_can_carry_is_refused_before_anything_is_sent"

HELD_BY: dict[int, str | tuple[str, str]] = {
    1: _UNADDRESSABLE,
    2: f"{_ADDRESSES}test_a_second_parameter_is_checked_too",
    3: f"{_ADDRESSES}test_a_parameter_is_escaped_as_the_router_reads_it",
    4: _UNADDRESSABLE,
    5: _UNADDRESSABLE,
    6: f"{_TRANSPORT}test_a_lost_response_to_trigger_creates_one_run",
    7: f"{_FLOWS}test_what_is_not_implemented_is_not_tried_again",
    8: f"{_FLOWS}test_the_platform_says_how_long_to_wait",
    9: f"{_OPTIONS}test_every_form_of_a_wait_is_understood",
    10: f"{_ERRORS}test_the_text_is_the_platforms_with_where_it_happened",
    11: f"{_ERRORS}test_every_shape_of_error_body_is_read",
    12: f"{_ERRORS}test_the_page_of_a_proxy_is_kept_as_text",
    13: f"{_CALLS}test_metrics_are_text",
    14: f"{_CALLS}test_usage_is_exported_as_text_or_bytes",
    15: "tests/regressions/test_client.py::test_the_activity_of_a_project_is_a_stream",
    16: f"{_CALLS}test_a_bare_array_is_a_page",
    17: f"{_CALLS}test_a_payload_may_be_null",
    18: f"{_CONFIG}test_the_hosted_platform_is_the_default_and_a_prefix_is_kept",
    19: f"{_CONFIG}test_a_client_without_a_credential_is_refused_at_once",
    20: f"{_CONFIG}test_a_token_that_no_header_can_carry_is_refused_and_not_shown",
    21: f"{_CONFIG}test_a_token_is_never_shown",
    22: f"{_CONFIG}test_a_header_that_no_request_can_carry_is_refused",
    23: f"{_CALLS}test_headers_are_merged_without_regard_to_case",
    24: f"{_CONFIG}test_an_address_with_more_than_host_and_path_is_refused",
    25: f"{_TRANSPORT}test_an_answer_that_drips_is_bounded_by_the_deadline",
    26: f"{_TRANSPORT}test_a_timeout_holds_for_the_client",
    27: f"{_TRANSPORT}test_a_timeout_holds_for_one_call",
    28: f"{_CALLS}test_a_body_that_is_no_json_is_a_validation_error",
    29: f"{_CALLS}test_none_is_not_sent_but_a_payload_of_null_is",
    30: f"{_TRANSPORT}test_a_closed_client_says_so",
    31: f"{_STREAMS}test_a_stream_that_cannot_be_opened_is_an_error",
    32: f"{_STREAMS}test_a_stream_goes_on_after_the_last_event_that_came",
    33: f"{_STREAMS}test_a_with_block_opens_the_stream_before_its_body_runs",
    34: f"{_SSE}test_each_form_of_the_standard_is_read",
    35: f"{_STREAMS}test_an_error_event_is_raised",
    36: f"{_SSE}test_each_form_of_the_standard_is_read",
    37: f"{_STREAMS}test_an_async_stream_that_is_left_gives_its_connection_back",
    38: f"{_HOOKS}test_a_hook_that_raises_neither_fails_the_call_nor_repeats_it",
    39: f"{_HOOKS}test_a_hook_that_raises_neither_fails_the_call_nor_repeats_it",
    40: f"{_HOOKS}test_a_token_is_redacted_and_a_change_of_headers_is_sent",
    41: f"{_HOOKS}test_async_hooks_are_awaited_and_a_sync_client_refuses_them",
    42: f"{_HOOKS}test_errors_of_every_kind_are_told",
    43: f"{_HOOKS}test_hooks_see_method_address_body_and_status",
    44: f"{_HOOKS}test_a_token_is_redacted_and_a_change_of_headers_is_sent",
    45: f"{_RETRY}test_what_more_tries_cannot_help_is_raised_at_once",
    46: f"{_RETRY}test_tries_around_our_client_are_not_multiplied",
    47: f"{_RETRY}test_no_attempts_at_all_are_refused",
    48: f"{_RETRY}test_waits_grow_and_the_cap_bounds_the_first_one_too",
    49: "tests/client/test_retry_options.py::test_values_out_of_range_are_refused_by_name",
    50: f"{_RETRY}test_anything_that_can_be_awaited_is_awaited_and_retried",
    51: f"{_WAITING}test_a_look_may_be_anything_that_can_be_awaited",
    52: f"{_WAITING}test_the_last_wait_is_clipped_and_followed_by_a_last_look",
    53: f"{_WAITING}test_trouble_that_may_pass_is_borne_until_the_deadline",
    54: "tests/client/test_waiting.py::test_each_kind_of_run_has_its_own_ends",
    55: "tests/client/test_waiting.py::test_a_trigger_that_starts_no_run_says_why",
    56: f"{_PAGING}test_dict_pages_are_followed_by_their_cursor",
    57: f"{_PAGING}test_pages_of_our_client_are_followed_without_asking_twice",
    58: f"{_PAGING}test_an_empty_page_ends_nothing_while_there_is_more",
    59: f"{_PAGING}test_a_cursor_that_comes_twice_is_an_error_after_its_items",
    60: f"{_PAGING}test_pages_of_our_async_client_are_followed",
    61: (
        f"{_RESULT}test_a_failure_has_an_error_and_raises_it",
        f"{_RESULT}test_match_returns_what_the_branch_does",
    ),
    62: (
        f"{_RESULT}test_a_coroutine_function_is_no_success_where_nothing_awaits_it",
        f"{_RESULT}test_a_function_to_await_becomes_what_came_of_it",
    ),
    63: f"{_ERRORS}test_every_error_can_be_pickled_and_copied",
    64: f"{_ERRORS}test_any_error_has_the_attributes_of_an_answer",
    65: f"{_CONFIG}test_arguments_satisfy_what_the_environment_lacks",
    66: f"{_CONFIG}test_a_given_token_wins_over_the_environment",
    67: f"{_CONFIG}test_a_wrong_file_is_an_error_that_names_the_file",
    68: f"{_CONFIG}test_a_wrong_timeout_argument_is_an_error",
    69: f"{_CONFIG}test_a_wrong_timeout_in_the_environment_is_an_error",
    70: f"{_CONFIG}test_a_byte_order_mark_is_no_obstacle",
    71: f"{_CONFIG}test_a_file_without_a_token_is_enough_when_one_is_given",
    72: f"{_AUTHORING}test_b72_a_job_registers_with_the_clients_of_this_package",
    73: (
        f"{_AUTHORING}test_b73_a_workflow_registers_with_the_clients_of_this_package",
        "tests/composition/test_deployments.py::test_our_client_sends_the_three_requests",
    ),
    74: (
        "tests/serve/test_handlers.py::test_a_value_is_the_result",
        "tests/serve/test_handlers.py::test_hooks_are_called_around_a_success",
    ),
    75: f"{_AUTHORING}test_b75_an_agent_does_no_more_iterations_than_it_may",
    76: f"{_AUTHORING}test_b76_a_checkpoint_that_is_asked_for_is_persisted_without_auto_checkpoint",
    77: f"{_AUTHORING}test_b77_a_cost_counts_once_also_when_it_could_not_be_reported",
    78: f"{_AUTHORING}test_b78_a_timeout_of_zero_is_refused_and_not_replaced",
    79: f"{_AUTHORING}test_b79_a_context_takes_the_service_of_either_client",
    80: (
        "tests/typing/test_checkers.py::test_what_users_write_is_accepted",
        "tests/typing/test_checkers.py::test_wrong_code_is_refused_and_only_that",
    ),
    81: f"{_AUTHORING}test_b81_every_level_of_the_log_is_recorded",
    82: (
        f"{_AUTHORING}test_b82_a_line_of_a_thread_is_sent",
        "tests/authoring/test_logs.py::test_what_is_logged_without_a_loop_is_sent_once_there_is_one",
    ),
    83: f"{_AUTHORING}test_b83_two_contexts_of_one_run_do_not_share_their_lines",
    84: f"{_AUTHORING}test_b84_contexts_leave_no_loggers_behind",
    85: f"{_AUTHORING}test_b85_a_logged_exception_keeps_its_traceback",
    86: f"{_AUTHORING}test_b86_a_result_and_a_payload_that_are_empty_are_sent",
    87: f"{_AUTHORING}test_b87_a_record_does_not_change_with_what_it_was_made_of",
    88: f"{_AUTHORING}test_b88_the_harness_and_the_platform_give_the_same_for_a_state_key",
    89: f"{_CHECKPOINTS}test_slow_checkpoints_do_not_overtake_each_other",
    90: f"{_CHECKPOINTS}test_the_newest_state_is_persisted_when_the_work_fails",
    91: f"{_CHECKPOINTS}test_an_interval_below_one_is_refused_before_any_work",
    92: f"{_CHECKPOINTS}test_a_newest_state_that_cannot_be_persisted_is_an_error",
    93: f"{_FLOWS}test_an_end_that_was_reported_by_a_lost_request_is_an_end",
    94: f"{_BUDGET}test_to_reach_the_budget_is_to_exceed_it",
    95: (
        f"{_BUDGET}test_a_cost_that_is_none_is_refused_and_not_counted",
        f"{_BUDGET}test_a_warning_that_fails_is_logged_and_goes_no_further",
    ),
    96: f"{_BUDGET}test_a_budget_of_nothing_is_spent_from_the_start",
    97: f"{_AUTHORING}test_b97_a_cycle_is_told_without_the_steps_that_hang_on_it",
    98: f"{_AUTHORING}test_b98_a_cycle_is_refused_where_the_workflow_is_defined",
    99: (
        f"{_AUTHORING}test_b99_a_step_that_no_platform_takes_is_refused_where_it_is_made",
        f"{_AUTHORING}test_b99_an_approval_without_approvers_says_that_anybody_may",
    ),
    100: f"{_AUTHORING}test_b100_a_run_that_has_ended_is_said_to_have_ended",
    101: (
        f"{_AUTHORING}test_b101_the_statuses_of_the_server_are_members",
        "tests/client/test_models.py::test_an_unknown_value_of_an_enum_is_a_text",
    ),
    102: f"{_AUTHORING}test_b102_a_dead_letter_has_ended",
    103: f"{_AUTHORING}test_b103_an_empty_body_is_sent_as_it_is_given",
    104: (
        "tests/composition/test_idempotency.py::test_a_key_of_any_case_is_replaced",
        "tests/composition/test_idempotency.py::test_our_client_sends_the_key_once",
    ),
    105: f"{_CONFIG}test_a_client_of_the_other_kind_is_refused_as_http_client",
    106: "tests/regressions/test_client.py::test_the_version_is_known_without_an_installation",
    107: f"{_AUTHORING}test_b107_a_validator_that_would_return_a_coroutine_is_refused",
    108: f"{_MODELS}test_no_answer_with_an_object_fails_and_none_loses_a_field",
    109: f"{_CALLS}test_the_client_says_who_it_is",
}
