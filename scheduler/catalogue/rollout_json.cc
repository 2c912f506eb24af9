#include "scheduler/catalogue/rollout_json.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/json/json.h"

namespace tidegate::scheduler {

namespace {

constexpr std::array kPhases = {RolloutPhase::kRolling, RolloutPhase::kWaiting, RolloutPhase::kBack,
                                RolloutPhase::kFailed};

json::object revision_object(const RevisionSpec& spec) {
  json::object out;
  out["model"] = spec.model;
  out["variant"] = spec.variant;
  out["region"] = spec.region;
  out["pool"] = spec.pool;
  out["threads"] = spec.threads;
  out["sequences_max"] = spec.sequences_max;
  json::array options;
  for (const std::string& option : spec.options) options.emplace_back(option);
  out["options"] = std::move(options);
  return out;
}

Result<std::int32_t> read_count(const json::object& from, std::string_view key, std::string_view path) {
  TG_ASSIGN(const std::int64_t number, json::get_int(from, key, path));
  if (std::in_range<std::int32_t>(number)) return static_cast<std::int32_t>(number);
  const std::string field = json::join_path(path, key);
  return fail(Code::kInvalidArgument, "bad_rollout", fmt::format("{} is out of range: {}", field, number), field);
}

Result<RevisionSpec> read_revision(const json::object& from, std::string_view path) {
  RevisionSpec spec;
  TG_ASSIGN(spec.model, json::get_string(from, "model", path));
  TG_ASSIGN(spec.variant, json::get_string(from, "variant", path));
  TG_ASSIGN(spec.region, json::get_string(from, "region", path));
  TG_ASSIGN(spec.pool, json::get_string(from, "pool", path));
  TG_ASSIGN(spec.threads, read_count(from, "threads", path));
  TG_ASSIGN(spec.sequences_max, read_count(from, "sequences_max", path));
  TG_ASSIGN(const json::array* options, json::get_array(from, "options", path));
  for (const json::value& option : *options) {
    if (!option.is_string())
      return fail(Code::kInvalidArgument, "wrong_type", "an option must be text", json::join_path(path, "options"));
    spec.options.emplace_back(option.get_string().data(), option.get_string().size());
  }
  return spec;
}

Result<json::value> read_object(std::string_view text, const char* what) {
  TG_ASSIGN(json::value document, json::parse(text));
  if (document.is_object()) return document;
  return fail(Code::kInvalidArgument, "wrong_type", fmt::format("{} must be a JSON object", what), what);
}

Result<RolloutPhase> read_phase(const std::string& name) {
  for (const RolloutPhase phase : kPhases) {
    if (rollout_phase_name(phase) == name) return phase;
  }
  return fail(Code::kInvalidArgument, "bad_rollout", fmt::format("'{}' is no phase of a rollout", name),
              "rollout.phase");
}

}  // namespace

std::string write_rollout(const Rollout& rollout) {
  if (rollout.phase == RolloutPhase::kNone) return "{}";
  json::object out;
  out["phase"] = std::string(rollout_phase_name(rollout.phase));
  out["revision"] = rollout.revision;
  out["spec"] = revision_object(rollout.spec);
  json::array steps;
  for (const std::int32_t step : rollout.steps) steps.emplace_back(step);
  out["steps"] = std::move(steps);
  out["hold_s"] = rollout.hold_s;
  out["done"] = rollout.done;
  out["since_us"] = unix_micros(rollout.since);
  out["why"] = rollout.why;
  out["serves_more"] = rollout.serves_more;
  return json::serialize(out);
}

Result<Rollout> parse_rollout(std::string_view text) {
  TG_ASSIGN(const json::value document, read_object(text, "rollout"));
  const json::object& from = document.get_object();
  Rollout rollout;
  if (from.empty()) return rollout;
  TG_ASSIGN(const std::string phase, json::get_string(from, "phase", "rollout"));
  TG_ASSIGN(rollout.phase, read_phase(phase));
  TG_ASSIGN(rollout.revision, read_count(from, "revision", "rollout"));
  TG_ASSIGN(const json::object* spec, json::get_object(from, "spec", "rollout"));
  TG_ASSIGN(rollout.spec, read_revision(*spec, "rollout.spec"));
  TG_ASSIGN(const json::array* steps, json::get_array(from, "steps", "rollout"));
  for (const json::value& step : *steps) {
    const bool is_percent = step.is_int64() && step.get_int64() >= 1 && step.get_int64() <= 100;
    if (!is_percent) return fail(Code::kInvalidArgument, "bad_rollout", "a step must be 1 to 100", "rollout.steps");
    rollout.steps.push_back(static_cast<std::int32_t>(step.get_int64()));
  }
  TG_ASSIGN(rollout.hold_s, read_count(from, "hold_s", "rollout"));
  TG_ASSIGN(rollout.done, read_count(from, "done", "rollout"));
  const bool is_past_end = !rollout.steps.empty() && std::cmp_greater(rollout.done, rollout.steps.size());
  if (rollout.done < 0 || is_past_end) {
    return fail(Code::kInvalidArgument, "bad_rollout",
                fmt::format("{} steps of {} cannot be done", rollout.done, rollout.steps.size()), "rollout.done");
  }
  TG_ASSIGN(const std::int64_t since, json::get_int(from, "since_us", "rollout"));
  rollout.since = wall_from_unix_micros(since);
  TG_ASSIGN(rollout.why, json::get_string(from, "why", "rollout"));
  // Written since a rollout can fail: one that was under way before has none.
  TG_ASSIGN(const std::optional<bool> serves_more, json::find_bool(from, "serves_more", "rollout"));
  rollout.serves_more = serves_more.value_or(false);
  return rollout;
}

std::string write_revision(const std::optional<RevisionSpec>& revision) {
  return revision ? json::serialize(revision_object(*revision)) : "{}";
}

Result<std::optional<RevisionSpec>> parse_revision(std::string_view text) {
  TG_ASSIGN(const json::value document, read_object(text, "revision"));
  std::optional<RevisionSpec> revision;
  if (document.get_object().empty()) return revision;
  TG_ASSIGN(revision, read_revision(document.get_object(), "revision"));
  return revision;
}

}  // namespace tidegate::scheduler
