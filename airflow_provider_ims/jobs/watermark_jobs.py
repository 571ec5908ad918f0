"""The families of invisible watermarks: one row of data each.

Of the two families that extract, the vendor documents no state at all. Of the three that embed, it documents the field
and one example, ``success``: the other states are assumed to be those of other families, and an entry that is missing
in the list of jobs says nothing.
"""

from __future__ import annotations

import functools

from airflow_provider_ims.jobs.types import Form, JobType, Key, Parameter, ResultKind, page

_REGIONS = frozenset({"cn-shanghai", "cn-beijing"})
_ALGO_TYPE = Key(
    "algoType",
    "algo_type",
    ("v1", "v2"),
    "'v1' (long videos) or 'v2' (short ones): extraction needs the one that the watermark was embedded with",
)
_M3U8_TYPE = Key("m3u8Type", "m3u8_type", ("v1", "v2"), "'v1' (absolute paths) or 'v2' (relative paths)")

_INPUT = Parameter("Input", "input_media", Form.MEDIA, is_needed=True)
_LEVEL = Parameter("Level", "level", Form.WHOLE_NUMBER, limits=(0, 2))
_START_TIME = Parameter("StartTime", "start_time", Form.WHOLE_NUMBER, limits=(0, None))
_TOTAL_TIME = Parameter("TotalTime", "total_time", Form.WHOLE_NUMBER, limits=(1, None))
_params = functools.partial(Parameter, "Params", "job_params", Form.PARAMS)
_USER_DATA = Parameter("UserData", "user_data", Form.USER_DATA)

_extract = functools.partial(
    JobType,
    job_id_path="Data.JobId",
    subject_parameter="Input",
    user_data_limit=1024,
    result_kind=ResultKind.TEXT,
    code_path="StatusCode",
    message_path="Message",
    empty_result_option="no_watermark_after",
    regions=_REGIONS,
)

COPYRIGHT_EXTRACT = _extract(
    name="CopyrightExtractJob",
    submit_action="SubmitCopyrightExtractJob",
    query_action="QueryCopyrightExtractJob",
    documentation=page("QueryCopyrightExtractJob"),
    parameters=(_INPUT, _params(keys=(_ALGO_TYPE,)), _USER_DATA),
    result_path="Data.Message",
    result_name="watermark",
)
TRACE_EXTRACT = _extract(
    name="TraceExtractJob",
    submit_action="SubmitTraceExtractJob",
    query_action="QueryTraceExtractJob",
    documentation=page("QueryTraceExtractJob"),
    parameters=(_INPUT, _params(keys=(_M3U8_TYPE,)), _USER_DATA),
    result_path="Data.Trace",
    result_name="trace",
)

# The queries return a list of jobs; with a JobId it has one entry. Result is JSON text with Code and Message, by the
# vendor's example; if it is missing, the status of the whole response is all that can explain a failure.
_embed = functools.partial(
    JobType,
    job_id_path="Data.JobId",
    state_path="Data[0].Status",
    result_name="output",
    regions=_REGIONS,
)

COPYRIGHT = _embed(
    name="CopyrightJob",
    submit_action="SubmitCopyrightJob",
    query_action="QueryCopyrightJobList",
    documentation=page("QueryCopyrightJobList"),
    subject_parameter="Input",
    parameters=(
        _INPUT,
        Parameter("Output", "output_media", Form.OBJECT, is_needed=True),
        Parameter("Message", "message", is_needed=True),
        _LEVEL,
        _START_TIME,
        _TOTAL_TIME,
        _params(keys=(_ALGO_TYPE,)),
        Parameter("Description", "description"),
        _USER_DATA,
    ),
    user_data_limit=1024,
    result_path="Data[0].Output",
    code_path="parse_json(Data[0].Result).Code || StatusCode",
    message_path="parse_json(Data[0].Result).Message || Message",
)
TRACE_AB = _embed(
    name="TraceAbJob",
    submit_action="SubmitTraceAbJob",
    query_action="QueryTraceAbJobList",
    documentation=page("QueryTraceAbJobList"),
    subject_parameter="Input",
    parameters=(
        _INPUT,
        Parameter("Output", "output_media", Form.FOLDER, is_needed=True),
        _LEVEL,
        _START_TIME,
        _TOTAL_TIME,
        Parameter("CipherBase64ed", "cipher_base64ed"),
        _USER_DATA,
    ),
    submit_results=(("trace_media_id", "Data.TraceMediaId"),),
    user_data_limit=1024,
    # A TraceM3u8Job needs the TraceMediaId.
    result_path="Data[0].{TraceMediaId: TraceMediaId, Output: Output}",
    code_path="parse_json(Data[0].Result).Code || StatusCode",
    message_path="parse_json(Data[0].Result).Message || Message",
)
TRACE_M3U8 = _embed(
    name="TraceM3u8Job",
    submit_action="SubmitTraceM3u8Job",
    query_action="QueryTraceM3u8JobList",
    documentation=page("QueryTraceM3u8JobList"),
    subject_parameter="TraceMediaId",
    parameters=(
        Parameter("TraceMediaId", "trace_media_id", is_needed=True),
        Parameter("Trace", "trace", is_needed=True),
        Parameter("Output", "output_media", Form.OBJECT, is_needed=True),
        _params(keys=(_M3U8_TYPE,)),
        Parameter("KeyUri", "key_uri"),
    ),
    takes_user_data=False,
    result_path="Data[0].Output",
    # Its entries have no Result.
    code_path="StatusCode",
    message_path="Message",
)

WATERMARK_JOBS = (COPYRIGHT_EXTRACT, TRACE_EXTRACT, COPYRIGHT, TRACE_AB, TRACE_M3U8)
