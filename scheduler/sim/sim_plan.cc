#include "scheduler/sim/sim_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <set>
#include <string>

#include "base/json/json.h"
#include "scheduler/catalogue/autoscale_json.h"

namespace tidegate::scheduler {

namespace {

constexpr std::size_t kNodesMax = 100'000;
constexpr std::size_t kDeploymentsMax = 256;
constexpr std::string_view kHeading = "gpu_model,gpu_capacity_num,cpu_num,node_name";

std::unexpected<Error> bad_inventory(std::size_t line, std::string_view why) {
  return fail(Code::kInvalidArgument, "bad_inventory", fmt::format("line {} of the inventory: {}", line, why),
              fmt::format("inventory:{}", line));
}

std::string_view cut(std::string_view& text, char separator) {
  const auto at = text.find(separator);
  const std::string_view head = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
  return head;
}

Status only_known(const json::object& from, std::initializer_list<std::string_view> known, std::string_view path) {
  for (const auto& member : from) {
    const std::string_view key(member.key().data(), member.key().size());
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string field = json::join_path(path, key);
    return fail(Code::kInvalidArgument, "unknown_field", fmt::format("'{}' is not a member here", field), field);
  }
  return {};
}

/// Leaves `out` alone when the member is absent.
Status take(const json::object& from, std::string_view key, std::string_view path, double least, double most,
            double& out) {
  TG_ASSIGN(const auto number, json::find_double(from, key, path));
  if (!number) return {};
  if (!(*number >= least && *number <= most)) {
    const std::string field = json::join_path(path, key);
    return fail(Code::kInvalidArgument, "out_of_range",
                fmt::format("{} must be {} to {}, not {}", field, least, most, *number), field);
  }
  out = *number;
  return {};
}

template <typename Integer>
Status take_count(const json::object& from, std::string_view key, std::string_view path, double least, double most,
                  Integer& out) {
  auto number = static_cast<double>(out);
  TG_TRY(take(from, key, path, least, most, number));
  out = static_cast<Integer>(number);
  return {};
}

Result<SimDeployment> read_one(const json::object& from, const std::string& path) {
  TG_TRY(only_known(from, {"name",        "model",
                           "variant",     "region",
                           "accelerator", "accelerators",
                           "replicas",    "slots",
                           "kv_tokens",   "prefill_tokens_per_s",
                           "itl_ms",      "itl_ms_per_sequence",
                           "start_s",     "ttft_slo_s",
                           "wait_max_s",  "peak_per_s",
                           "noise",       "flat",
                           "step_at_s",   "step_factor",
                           "autoscale"},
                    path));
  SimDeployment one;
  TG_ASSIGN(one.deployment.name, json::get_string(from, "name", path));
  TG_ASSIGN(one.deployment.pool, json::get_string(from, "accelerator", path));
  TG_ASSIGN(const auto model, json::find_string(from, "model", path));
  one.deployment.model = model.value_or(one.deployment.name);
  TG_ASSIGN(const auto variant, json::find_string(from, "variant", path));
  one.deployment.variant = variant.value_or("sim");
  TG_ASSIGN(const auto region, json::find_string(from, "region", path));
  one.deployment.region = region.value_or("local");
  TG_TRY(take_count(from, "accelerators", path, 1, 64, one.accelerators));
  TG_TRY(take_count(from, "replicas", path, 0, kReplicasMax, one.deployment.replicas));
  TG_TRY(take_count(from, "slots", path, 1, kSequencesMax, one.speed.slots));
  TG_TRY(take_count(from, "kv_tokens", path, 1, 1e12, one.speed.kv_tokens));
  TG_TRY(take(from, "prefill_tokens_per_s", path, 1, 1e9, one.speed.prefill_tokens_per_s));
  TG_TRY(take(from, "itl_ms", path, 0.01, 60'000, one.speed.itl_ms));
  TG_TRY(take(from, "itl_ms_per_sequence", path, 0, 1'000, one.speed.itl_ms_per_sequence));
  TG_TRY(take(from, "start_s", path, 0, 7'200, one.start_s));
  TG_TRY(take(from, "ttft_slo_s", path, 0.001, 3'600, one.limits.ttft_slo_s));
  TG_TRY(take(from, "wait_max_s", path, 1, 3'600, one.limits.wait_max_s));
  TG_TRY(take(from, "peak_per_s", path, 1e-6, 10'000, one.traffic.peak_per_s));
  TG_TRY(take(from, "noise", path, 0, 1, one.traffic.noise));
  TG_TRY(take(from, "step_at_s", path, -1, 1e9, one.traffic.step_at_s));
  TG_TRY(take(from, "step_factor", path, 0.001, 1'000, one.traffic.step_factor));
  TG_ASSIGN(const auto flat, json::find_bool(from, "flat", path));
  one.traffic.is_flat = flat.value_or(false);
  if (!from.contains("autoscale")) return one;
  TG_ASSIGN(const json::object* policy, json::get_object(from, "autoscale", path));
  TG_ASSIGN(one.deployment.autoscale, read_autoscale(*policy, json::join_path(path, "autoscale")));
  return one;
}

}  // namespace

Result<std::vector<SimNode>> parse_inventory(std::string_view text) {
  std::vector<SimNode> nodes;
  std::size_t line_number = 0;
  while (!text.empty()) {
    std::string_view line = cut(text, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++line_number;
    if (line_number == 1) {
      if (line != kHeading) return bad_inventory(1, fmt::format("the heading must be '{}'", kHeading));
      continue;
    }
    if (line.empty()) continue;
    SimNode node;
    node.kind = cut(line, ',');
    const std::string_view count = cut(line, ',');
    cut(line, ',');  // processors
    node.name = line;
    const auto [end, code] = std::from_chars(count.data(), count.data() + count.size(), node.accelerators);
    const bool is_number = code == std::errc() && end == count.data() + count.size();
    if (node.kind.empty() || node.name.empty() || !is_number || node.accelerators < 0 || node.accelerators > 1'024) {
      return bad_inventory(line_number, "a kind, a count of 0 to 1024 and a name are needed");
    }
    if (nodes.size() >= kNodesMax) return bad_inventory(line_number, fmt::format("more than {} nodes", kNodesMax));
    nodes.push_back(std::move(node));
  }
  if (nodes.empty()) return bad_inventory(line_number, "no node");
  return nodes;
}

Result<std::vector<SimDeployment>> parse_sim_deployments(std::string_view text) {
  TG_ASSIGN(const json::value document, json::parse(text));
  if (!document.is_object())
    return fail(Code::kInvalidArgument, "bad_plan", "the file of deployments is a JSON object", "deployments");
  TG_TRY(only_known(document.get_object(), {"deployments"}, ""));
  TG_ASSIGN(const json::array* list, json::get_array(document.get_object(), "deployments"));
  if (list->empty() || list->size() > kDeploymentsMax) {
    return fail(Code::kInvalidArgument, "bad_plan",
                fmt::format("'deployments' must hold 1 to {} entries", kDeploymentsMax), "deployments");
  }
  std::vector<SimDeployment> all;
  std::set<std::string> names;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string path = fmt::format("deployments[{}]", i);
    if (!(*list)[i].is_object())
      return fail(Code::kInvalidArgument, "bad_plan", fmt::format("'{}' must be an object", path), path);
    TG_ASSIGN(SimDeployment one, read_one((*list)[i].get_object(), path));
    if (!names.insert(one.deployment.name).second) {
      return fail(Code::kInvalidArgument, "bad_plan", fmt::format("'{}' is there twice", one.deployment.name),
                  path + ".name");
    }
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace tidegate::scheduler
