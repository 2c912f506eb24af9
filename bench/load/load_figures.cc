#include "bench/load/load_figures.h"

#include "base/json/json.h"

namespace tidegate::bench {

namespace {

double micros(Duration span) { return static_cast<double>(span.count()) / 1e3; }

json::object render(const LatencyHistogram& histogram) {
  json::object out;
  out["count"] = histogram.count();
  out["mean"] = micros(histogram.mean());
  out["p50"] = micros(histogram.percentile(50));
  out["p90"] = micros(histogram.percentile(90));
  out["p99"] = micros(histogram.percentile(99));
  out["p999"] = micros(histogram.percentile(99.9));
  out["max"] = micros(histogram.max());
  return out;
}

json::object render(const TenantFigures& tenant) {
  json::object out;
  out["name"] = tenant.name;
  out["answered"] = tenant.answered;
  out["refused"] = tenant.refused;
  out["first_token_us"] = render(tenant.first_token);
  return out;
}

json::object render(const PhaseFigures& phase) {
  json::object out;
  out["name"] = phase.name;
  out["seconds"] = phase.seconds;
  out["due"] = phase.due;
  out["answered"] = phase.answered;
  out["refused"] = phase.refused;
  out["failed"] = phase.failed;
  out["unfinished"] = phase.unfinished;
  json::object statuses;
  for (const auto& [status, count] : phase.statuses) statuses[std::to_string(status)] = count;
  out["statuses"] = std::move(statuses);
  out["first_byte_us"] = render(phase.first_byte);
  out["first_token_us"] = render(phase.first_token);
  out["whole_us"] = render(phase.whole);
  out["refusal_us"] = render(phase.refusal);
  out["refusal_service_us"] = render(phase.refusal_service);
  json::array tenants;
  for (const TenantFigures& tenant : phase.tenants) tenants.push_back(render(tenant));
  out["tenants"] = std::move(tenants);
  out["came_back"] = phase.came_back;
  out["admitted_at_once"] = phase.admitted_at_once;
  out["admitted_later"] = phase.admitted_later;
  out["told_to_wait_us"] = render(phase.told_to_wait);
  out["answers_ended"] = phase.answers_ended;
  out["token_events"] = phase.token_events;
  out["tokens_told"] = phase.tokens_told;
  out["gap_us"] = render(phase.gaps);
  out["streams_open"] = phase.streams_open;
  json::object processes;
  for (const ProcessFigures& process : phase.processes) {
    json::object each;
    each["cpu_seconds"] = process.cpu_seconds;
    each["rss_mib"] = process.rss_mib;
    processes[process.name] = std::move(each);
  }
  out["processes"] = std::move(processes);
  json::array cores;
  for (const double busy : phase.cores_busy) cores.push_back(busy);
  out["cores_busy"] = std::move(cores);
  return out;
}

}  // namespace

std::string render_figures(const LoadFigures& figures) {
  json::object out;
  json::array phases;
  for (const PhaseFigures& phase : figures.phases) phases.push_back(render(phase));
  out["phases"] = std::move(phases);
  json::array answered, refused, slowest;
  for (const Tick& tick : figures.ticks) {
    answered.push_back(tick.answered);
    refused.push_back(tick.refused);
    slowest.push_back(micros(tick.slowest_first_token));
  }
  json::object ticks;
  ticks["ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(kTick).count();
  ticks["answered"] = std::move(answered);
  ticks["refused"] = std::move(refused);
  ticks["slowest_first_token_us"] = std::move(slowest);
  out["ticks"] = std::move(ticks);
  out["connects"] = figures.connects;
  out["late_us_max"] = figures.late_us_max;
  return json::serialize(out);
}

}  // namespace tidegate::bench
