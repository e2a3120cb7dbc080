"""Lines of programs that are too large to run here, retyped after their sources, with the series that they mean."""

from __future__ import annotations

__all__ = ["RETYPED"]

AIRFLOW = [
    "airflow.scheduler_heartbeat:1|c",
    "airflow.ti.finish.etl-2.load.success:1|c",
    "airflow.ti.finish,dag_id=etl-2,task_id=load,state=success:1|c",
    "airflow.dag_processing.processes,file_path=/opt/dags/etl.py,action=start:1|c",
    "airflow.pool.open_slots.default_pool:128|g",
    "airflow.pool.open_slots,pool_name=default_pool:128|g",
    "airflow.dagrun.duration.failed.etl-2:90500.250000|ms",
    "airflow.dagrun.duration.failed,dag_id=etl-2,run_type=manual:90500.250000|ms",
]
AIRFLOW_TAGGED = [
    "airflow.ti.finish:1|c|#dag_id:etl-3,task_id:load,state:success",
    "airflow.pool.open_slots:64|g|#pool_name:other",
    "airflow.dagrun.duration.failed:90500.25|ms|#dag_id:etl-3,run_type:manual",
]
JOIN = "tm.a1.Join(joinType=[InnerJoin], where=[(id = id0)], select=[id, id0]).0"
FLINK = [
    f"{JOIN}.numRecordsIn:7|g",
    f"{JOIN}.numRecordsOut:9|g",
    "tm.a1.Source- Words -> Flat Map.0.numRecordsOutPerSecond.rate:5.3|g",
    "tm.a1.Words.0.currentInputWatermark:0|g",
    "tm.a1.Words.0.currentInputWatermark:-9223372036854775808|g",
    "tm.a1.Status.JVM.Memory.NonHeap.Max:0|g",
    "tm.a1.Status.JVM.Memory.NonHeap.Max:-1|g",
    "tm.a1.Status.JVM.CPU.Load:1.0E-4|g",
    "tm.a1.Status.Load:NaN|g",
    "jm.Words.lastCheckpointExternalPath:n/a|g",
]
# Airflow sends most numbers twice, with all in the name and with tags as InfluxDB or DogStatsD has them. Flink sends
# gauges only: also what is no number, and one below 0 as 0 and a change.

RETYPED: dict[str, tuple[str, list[str], dict[str, float], dict[str, float]]] = {
    "Airflow": (
        "udp",
        AIRFLOW,
        {
            "airflow_scheduler_heartbeat": 1,
            "airflow_ti_finish_etl_2_load_success": 1,
            'airflow_ti_finish{dag_id="etl-2",state="success",task_id="load"}': 1,
            'airflow_dag_processing_processes{action="start",file_path="/opt/dags/etl.py"}': 1,
            "airflow_pool_open_slots_default_pool": 128,
            'airflow_pool_open_slots{pool_name="default_pool"}': 128,
            "airflow_dagrun_duration_failed_etl_2_sum": 90.50025,
            'airflow_dagrun_duration_failed_sum{dag_id="etl-2",run_type="manual"}': 90.50025,
        },
        {},
    ),
    "Airflow for DogStatsD": (
        "dogstatsd",
        AIRFLOW_TAGGED,
        {
            'airflow_ti_finish{dag_id="etl-3",state="success",task_id="load"}': 1,
            'airflow_pool_open_slots{pool_name="other"}': 64,
            'airflow_dagrun_duration_failed_sum{dag_id="etl-3",run_type="manual"}': 90.50025,
        },
        {},
    ),
    "Flink": (
        "udp",
        FLINK,
        {
            "tm_a1_Join_joinType__InnerJoin___where___id___id0____select__id__id0___0_numRecordsIn": 7,
            "tm_a1_Join_joinType__InnerJoin___where___id___id0____select__id__id0___0_numRecordsOut": 9,
            "tm_a1_Source__Words____Flat_Map_0_numRecordsOutPerSecond_rate": 5.3,
            "tm_a1_Words_0_currentInputWatermark": -(2.0**63),
            "tm_a1_Status_JVM_Memory_NonHeap_Max": -1,
            "tm_a1_Status_JVM_CPU_Load": 0.0001,
        },
        {"malformed_value": 2},
    ),
}
"""For each: to which listener the lines go, the lines, the series, and how many lines are bad for which reason."""
