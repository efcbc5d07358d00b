#!/usr/bin/env python3
"""Writes the dashboards. Each is a list of panels: title, unit, what it tells, and its queries with their legends.

    observability/grafana/build.py        writes dashboards/*.json; scripts/generate calls it
"""
import json
import pathlib

COLUMNS, WIDTH, HEIGHT = 24, 8, 8
REQUESTS = 'http_server_request_duration_seconds'
ERRORS = 'http_response_status_code=~"5.."'


def quantiles(name, selector="", by=""):
    """Median and 95th percentile of a histogram."""
    group = f"le, {by}" if by else "le"
    legend = "{{" + by + "}} " if by else ""
    return [
        (f"histogram_quantile({q}, sum by ({group}) (rate({name}_bucket{{{selector}}}[$__rate_interval])))", f"{legend}{label}")
        for q, label in ((0.5, "median"), (0.95, "95th percentile"))
    ]


def rate(name, by, selector=""):
    legend = " ".join("{{" + label.strip() + "}}" for label in by.split(","))
    return [(f"sum by ({by}) (rate({name}{{{selector}}}[$__rate_interval]))", legend)]


DASHBOARDS = {
    "overview": ("Carrel: overview", [
        ("Programs that answer", "none", "By job; fewer than there should be is CarrelTargetDown.", [('sum by (job) (up{job=~"carrel-.*"})', "{{job}}")]),
        ("Versions", "none", "More than one while an upgrade rolls.", [("count by (version, revision) (carrel_build_info)", "{{version}} {{revision}}")]),
        ("Failing checks", "none", "Readiness by check; empty is good.", [("sum by (job, instance, check) (carrel_health_check_passed == 0) + 1", "{{job}} {{instance}}: {{check}}")]),
        ("Requests per second", "reqps", "By status.", rate(f"{REQUESTS}_count", "http_response_status_code", 'http_route!~"/health/.*"')),
        ("Share of errors", "percentunit", "Server errors in requests; the budget is 0.1 %.", [("carrel:http_errors:ratio_rate5m", "5 minutes"), ("carrel:http_errors:ratio_rate1h", "1 hour"), ("carrel:http_errors:ratio_rate1d", "1 day")]),
        ("Reads", "s", "Time of reads; the target is 200 ms for 95 %.", [("carrel:http_reads:p95_5m", "95th percentile")]),
        ("Slowest routes", "s", "95th percentile by route.", [(f"topk(8, histogram_quantile(0.95, sum by (le, http_route) (rate({REQUESTS}_bucket[$__rate_interval]))))", "{{http_route}}")]),
        ("Jobs waiting", "none", "That could run, by queue.", [("carrel:jobs_waiting:max", "{{queue}}")]),
        ("Oldest waiting job", "s", "By queue; five minutes are CarrelProcessingDelayed.", [('max by (queue) (carrel_jobs_oldest_seconds{state="available"})', "{{queue}}")]),
        ("Memory", "bytes", "Resident, by process.", [("process_resident_memory_bytes", "{{job}} {{instance}}")]),
        ("Processor", "percentunit", "Cores in use, by process.", [("rate(process_cpu_seconds_total[$__rate_interval])", "{{job}} {{instance}}")]),
        ("Open files", "percentunit", "Share of the limit.", [("process_open_fds / process_max_fds", "{{job}} {{instance}}")]),
    ]),
    "ingest": ("Carrel: ingest", [
        ("Uploads per second", "reqps", "By status.", rate(f"{REQUESTS}_count", "http_response_status_code", 'http_request_method="POST", http_route="/api/v1/collections/{id}/documents"')),
        ("Time of an upload", "s", "Until it is stored and its job written.", quantiles(REQUESTS, 'http_request_method="POST", http_route="/api/v1/collections/{id}/documents"')),
        ("Documents read", "none", "Ended extractions per second, by outcome.", rate("carrel_jobs_finished_total", "outcome", 'kind="document.extract"')),
        ("Time of reading", "s", "One extraction.", quantiles("carrel_job_duration_seconds", 'kind="document.extract"')),
        ("Time of indexing", "s", "Embedding and writing, by kind of job.", quantiles("carrel_job_duration_seconds", 'kind=~"document.index|passages.embed|document.publish"', "kind")),
        ("Wait for a worker", "s", "From due to begun, by queue.", quantiles("carrel_job_wait_seconds", 'queue=~"ingest|ai"', "queue")),
        ("Store: operations per second", "ops", "By operation and how it ended.", rate("carrel_store_operation_duration_seconds_count", "operation, outcome")),
        ("Store: time", "s", "By operation.", quantiles("carrel_store_operation_duration_seconds", "", "operation")),
        ("Store: bytes per second", "Bps", "Read and written.", rate("carrel_store_bytes_total", "direction")),
    ]),
    "search": ("Carrel: search", [
        ("Searches per second", "reqps", "By mode.", rate("carrel_search_duration_seconds_count", "mode")),
        ("Time of a search", "s", "By mode.", quantiles("carrel_search_duration_seconds", "", "mode")),
        ("Time by stage", "s", "Embedding the query, the statement, cutting snippets.", quantiles("carrel_search_stage_duration_seconds", "", "stage")),
        ("Time of embedding a query", "s", "By model, cache misses only.", quantiles("carrel_model_request_duration_seconds", 'input="query"', "model")),
        ("Connections", "none", "By program, pool and state.", [("sum by (job, pool, state) (carrel_database_connections)", "{{job}} {{pool}} {{state}}")]),
        ("Transactions waiting to begin", "none", "More than a few: the pool is too small, or statements are slow.", [("sum by (job, pool) (carrel_database_waiting)", "{{job}} {{pool}}")]),
        ("Time to begin a transaction", "s", "The wait for a connection and one round trip.", quantiles("carrel_database_begin_duration_seconds", "", "pool")),
        ("Transactions that could not begin", "ops", "By reason.", rate("carrel_database_begin_failures_total", "pool, reason")),
    ]),
    "research": ("Carrel: research", [
        ("Questions per second", "reqps", "By status.", rate(f"{REQUESTS}_count", "http_response_status_code", 'http_request_method="POST", http_route="/api/v1/research"')),
        ("Steps per second", "none", "By kind and outcome.", rate("carrel_jobs_finished_total", "kind, outcome", 'kind=~"research.*"')),
        ("Time of a step", "s", "By kind.", quantiles("carrel_job_duration_seconds", 'kind=~"research.*"', "kind")),
        ("Wait for a worker", "s", "Queue ai.", quantiles("carrel_job_wait_seconds", 'queue="ai"')),
        ("Watching", "reqps", "Event streams opened per second.", rate(f"{REQUESTS}_count", "http_response_status_code", 'http_route="/api/v1/research/{id}/events"')),
        ("Reports read", "reqps", "By route.", rate(f"{REQUESTS}_count", "http_route", 'http_route=~"/api/v1/research/.*(report|bundle|verification).*"')),
    ]),
    "jobs": ("Carrel: jobs", [
        ("Waiting", "none", "By queue and state.", [("max by (queue, state) (carrel_jobs_depth)", "{{queue}} {{state}}")]),
        ("Oldest", "s", "By queue and state.", [("max by (queue, state) (carrel_jobs_oldest_seconds)", "{{queue}} {{state}}")]),
        ("Begun per second", "ops", "By kind.", rate("carrel_jobs_started_total", "kind")),
        ("Ended per second", "ops", "By outcome.", rate("carrel_jobs_finished_total", "outcome")),
        ("Discarded per second", "ops", "By kind: given up for good.", rate("carrel_jobs_finished_total", "kind", 'outcome="discarded"')),
        ("Time of an execution", "s", "95th percentile by kind.", quantiles("carrel_job_duration_seconds", "", "kind")[1:]),
        ("Wait", "s", "By queue.", quantiles("carrel_job_wait_seconds", "", "queue")),
        ("Faults", "ops", "Workers that vanished, claims that were lost, deliveries of nothing.", [("sum(rate(carrel_jobs_crashed_total[$__rate_interval]))", "crashed"), ("sum(rate(carrel_jobs_stale_total[$__rate_interval]))", "stale"), ("sum(rate(carrel_jobs_refused_total[$__rate_interval]))", "refused")]),
        ("Schedules", "ops", "Ticks.", rate("carrel_schedule_ticks_total", "schedule")),
        ("Effects waiting", "none", "Mails and webhooks, by kind and state.", [("max by (kind, state) (carrel_effects_depth)", "{{kind}} {{state}}")]),
        ("Oldest effect", "s", "By kind and state.", [("max by (kind, state) (carrel_effects_oldest_seconds)", "{{kind}} {{state}}")]),
        ("Effects per second", "ops", "By outcome.", rate("carrel_effect_attempts_total", "kind, outcome")),
        ("Time of an effect", "s", "By kind.", quantiles("carrel_effect_duration_seconds", "", "kind")),
    ]),
    "ai-cost": ("Carrel: AI cost", [
        ("Cost of the range", "currencyUSD", "Tokens times the prices above; 0 for a model of one's own.", [
            ('sum by (model) (increase(carrel_model_tokens_total{direction="input"}[$__range])) / 1e6 * $input_price', "{{model}} input"),
            ('sum by (model) (increase(carrel_model_tokens_total{direction="output"}[$__range])) / 1e6 * $output_price', "{{model}} output")]),
        ("Tokens per second", "none", "By model and direction.", rate("carrel_model_tokens_total", "model, direction")),
        ("Texts per second", "none", "By model and what they are.", rate("carrel_model_inputs_total", "model, input")),
        ("Calls per second", "ops", "By model and how they ended.", rate("carrel_model_request_duration_seconds_count", "model, operation, outcome")),
        ("Time of a call", "s", "By model.", quantiles("carrel_model_request_duration_seconds", "", "model")),
        ("Time spent in models", "percentunit", "Seconds per second, by operation.", [("sum by (operation, input) (rate(carrel_model_request_duration_seconds_sum[$__rate_interval]))", "{{operation}} {{input}}")]),
    ]),
}


def panel(number, title, unit, description, queries):
    place = {"x": number * WIDTH % COLUMNS, "y": number * WIDTH // COLUMNS * HEIGHT, "w": WIDTH, "h": HEIGHT}
    targets = [{"refId": chr(65 + i), "expr": expr, "legendFormat": legend} for i, (expr, legend) in enumerate(queries)]
    return {
        "id": number + 1, "type": "timeseries", "title": title, "description": description, "gridPos": place,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": targets,
    }


def variables(name):
    yield {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}
    if name == "ai-cost":
        for direction in ("input", "output"):
            yield {"name": f"{direction}_price", "type": "textbox", "query": "0", "current": {"text": "0", "value": "0"},
                   "label": f"Price of a million {direction} tokens"}


def dashboard(name, title, panels):
    return {
        "uid": f"carrel-{name}", "title": title, "tags": ["carrel"], "schemaVersion": 39, "editable": False,
        "time": {"from": "now-6h", "to": "now"}, "refresh": "30s", "timezone": "",
        "links": [{"type": "dashboards", "tags": ["carrel"], "asDropdown": True, "title": "Carrel", "includeVars": False, "keepTime": True}],
        "templating": {"list": list(variables(name))},
        "panels": [panel(number, *row) for number, row in enumerate(panels)],
    }


def main():
    folder = pathlib.Path(__file__).parent / "dashboards"
    folder.mkdir(exist_ok=True)
    for name, (title, panels) in DASHBOARDS.items():
        text = json.dumps(dashboard(name, title, panels), indent=1, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
