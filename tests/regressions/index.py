"""Which test holds the opposite of each bug of the published client, by the number of the bug.

The numbers are those of the list of bugs of `strait-python` 0.1.1. Each room adds its own; what is
not listed here is not held yet.
"""

from __future__ import annotations

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

HELD_BY: dict[int, str] = {
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
    26: f"{_TRANSPORT}test_a_given_timeout_holds_for_an_injected_http_client_too",
    27: f"{_TRANSPORT}test_a_timeout_holds_for_the_client_and_for_one_call",
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
    54: "tests/client/test_waiting.py::test_each_kind_of_run_has_its_own_ends",
    55: "tests/client/test_waiting.py::test_a_trigger_that_starts_no_run_says_why",
    63: f"{_ERRORS}test_every_error_can_be_pickled_and_copied",
    64: f"{_ERRORS}test_any_error_has_the_attributes_of_an_answer",
    65: f"{_CONFIG}test_arguments_satisfy_what_the_environment_lacks",
    66: f"{_CONFIG}test_a_given_token_wins_over_the_environment",
    67: f"{_CONFIG}test_a_wrong_file_is_an_error_that_names_the_file",
    68: f"{_CONFIG}test_a_wrong_timeout_argument_is_an_error",
    69: f"{_CONFIG}test_a_wrong_timeout_in_the_environment_is_an_error",
    70: f"{_CONFIG}test_a_byte_order_mark_is_no_obstacle",
    71: f"{_CONFIG}test_a_file_without_a_token_is_enough_when_one_is_given",
    93: f"{_FLOWS}test_an_end_that_was_reported_by_a_lost_request_is_an_end",
    105: f"{_CONFIG}test_a_client_of_the_other_kind_is_refused_as_http_client",
    106: "tests/regressions/test_client.py::test_the_version_is_known_without_an_installation",
    108: f"{_MODELS}test_no_answer_with_an_object_fails_and_none_loses_a_field",
    109: f"{_CALLS}test_the_client_says_who_it_is",
}
