#include "scheduler/core/catalogue.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "base/price/local_windows.h"

namespace tidegate::scheduler {

namespace {

// Options end up on a worker's command line, so they are named one by one.
constexpr std::array<std::string_view, 6> kOptionKeys = {"sim.step_ms", "sim.prefill_tokens_per_s",
                                                         "sim.reasoning_tokens", "sim.content_tokens", "kv.mib",
                                                         "drafts.batch_max"};

Status check_name(std::string_view name, std::string field) {
  const auto is_plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const bool good = !name.empty() && name.size() <= 63 && is_plain(name.front()) &&
                    std::all_of(name.begin(), name.end(), [&](char c) { return is_plain(c) || c == '-'; });
  if (good) return {};
  return fail(Code::kInvalidArgument, "bad_name",
              fmt::format("{} must be 1 to 63 characters of a-z, 0-9 and '-', starting with a letter or digit", field),
              std::move(field));
}

// As models are called: a dot as in "deepseek-v3.1".
Status check_served_name(std::string_view name) {
  const auto is_plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'; };
  if (name.size() <= 63 && std::all_of(name.begin(), name.end(), is_plain)) return {};
  return fail(Code::kInvalidArgument, "bad_name", "serves must be at most 63 characters of a-z, 0-9, '-' and '.'", "serves");
}

Status check_placement(const Deployment& deployment) {
  const PlacementPolicy& policy = deployment.placement;
  if (!policy.is_on) return {};
  const auto check_names = [](const std::vector<std::string>& names, const char* field) -> Status {
    if (names.size() > kPlacementNamesMax) {
      return fail(Code::kInvalidArgument, "out_of_range",
                  fmt::format("{} has {} names; at most {}", field, names.size(), kPlacementNamesMax), field);
    }
    for (const std::string& name : names) TG_TRY(check_name(name, field));
    return {};
  };
  TG_TRY(check_names(policy.regions, "placement.regions"));
  TG_TRY(check_names(policy.pools, "placement.pools"));
  if (policy.lost_after_s < kLostAfterLeastS || policy.lost_after_s > kLostAfterMostS) {
    return fail(Code::kInvalidArgument, "out_of_range",
                fmt::format("placement.lost_after_s must be {} to {}, not {}", kLostAfterLeastS, kLostAfterMostS,
                            policy.lost_after_s),
                "placement.lost_after_s");
  }
  if (policy.allows({deployment.region, deployment.pool})) return {};
  return fail(Code::kInvalidArgument, "place_not_allowed",
              fmt::format("{}/{} is none of the regions and pools of its placement; leave region and pool empty to have "
                          "one chosen",
                          deployment.region, deployment.pool),
              "region");
}

Status check_range(std::int32_t value, std::int32_t most, std::string field) {
  if (value >= 0 && value <= most) return {};
  return fail(Code::kInvalidArgument, "out_of_range", fmt::format("{} must be 0 to {}, not {}", field, most, value),
              std::move(field));
}

Status check_option(std::string_view option, std::size_t index) {
  const auto equals = option.find('=');
  const std::string_view key = option.substr(0, equals);
  const std::string field = fmt::format("options[{}]", index);
  if (equals == std::string_view::npos || std::find(kOptionKeys.begin(), kOptionKeys.end(), key) == kOptionKeys.end()) {
    return fail(Code::kInvalidArgument, "unknown_option",
                fmt::format("'{}' is not one of {}=<value>", option, fmt::join(kOptionKeys, "=<value>, ")), field);
  }
  const std::string_view value = option.substr(equals + 1);
  const bool good = !value.empty() && value.size() <= 20 &&
                    std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (good) return {};
  return fail(Code::kInvalidArgument, "bad_option", fmt::format("the value of '{}' must be a whole number", key), field);
}

// Of an option "key=value" that has passed check_option.
std::optional<std::int64_t> option_number(const Deployment& deployment, std::string_view key) {
  for (const std::string& option : deployment.options) {
    const std::string_view text = option;
    if (text.size() <= key.size() || !text.starts_with(key) || text[key.size()] != '=') continue;
    std::int64_t number = 0;
    const auto parsed = std::from_chars(text.data() + key.size() + 1, text.data() + text.size(), number);
    if (parsed.ec == std::errc()) return number;
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string_view> capability_names(const Capabilities& all) {
  std::vector<std::string_view> names;
  if (all.reasoning) names.emplace_back("reasoning");
  if (all.tools) names.emplace_back("tools");
  if (all.fim) names.emplace_back("fim");
  if (all.embeddings) names.emplace_back("embeddings");
  if (all.vision) names.emplace_back("vision");
  return names;
}

std::vector<Layout> layouts_allowed(const ModelShape& shape, const CatalogueVariant& variant) {
  return variant.layouts.empty() ? candidate_layouts(shape) : variant.layouts;
}

Status Catalogue::add(CatalogueModel model) {
  std::string name = model.name;
  if (!models_.try_emplace(name, std::move(model)).second) {
    return fail(Code::kAlreadyExists, "duplicate_model", fmt::format("the catalogue has '{}' twice", name), "name");
  }
  return {};
}

const CatalogueVariant* Catalogue::find(const std::string& model, const std::string& variant) const {
  const auto found = models_.find(model);
  if (found == models_.end()) return nullptr;
  for (const CatalogueVariant& candidate : found->second.variants) {
    if (candidate.name == variant) return &candidate;
  }
  return nullptr;
}

Result<const CatalogueModel*> Catalogue::find_model(std::string_view name) const {
  const std::string wanted = lower_case(name);
  const auto found = models_.find(wanted);
  if (found != models_.end()) return &found->second;
  std::string alike, all;
  for (const auto& [each, model] : models_) {
    all += all.empty() ? each : ", " + each;
    if (!wanted.empty() && each.find(wanted) != std::string::npos) alike += alike.empty() ? each : ", " + each;
  }
  return fail(Code::kNotFound, "unknown_model",
              fmt::format("the catalogue has no model '{}'; {} {}", name, alike.empty() ? "it has" : "did you mean",
                          alike.empty() ? all : alike),
              "model");
}

Result<const CatalogueVariant*> find_variant(const CatalogueModel& model, std::string_view name_or_precision) {
  std::string known;
  for (const CatalogueVariant& variant : model.variants) {
    if (name_or_precision.empty() || variant.name == name_or_precision || variant.precision == name_or_precision) return &variant;
    known += known.empty() ? variant.name : ", " + variant.name;
  }
  return fail(Code::kNotFound, "unknown_variant",
              fmt::format("'{}' has no variant '{}'; it has {}", model.name, name_or_precision, known), "precision");
}

Result<Fit> fit_variant(const CatalogueModel& model, const CatalogueVariant& variant, const Layout& layout,
                        const AcceleratorKind& accelerator, const FitOptions& options) {
  if (!model.shape || !variant.weights) {
    return fail(Code::kFailedPrecondition, "unknown_shape",
                fmt::format("no fit can be computed for '{}' {}: its config is not in the catalogue{}{}", model.name, variant.name,
                            model.unknown.empty() ? "" : "; not known: ", fmt::join(model.unknown, ", ")),
                "model");
  }
  TG_ASSIGN(const Layout checked, check_layout(*model.shape, layout));
  const auto& offered = variant.layouts;
  if (!offered.empty() && std::find(offered.begin(), offered.end(), checked) == offered.end()) {
    std::string known;
    for (const Layout& each : offered) known += known.empty() ? each.to_string() : ", " + each.to_string();
    return fail(Code::kInvalidArgument, "layout_not_offered",
                fmt::format("'{}' {} is offered as {}, not {}", model.name, variant.name, known, checked.to_string()), "layout");
  }
  return fit(*model.shape, *variant.weights, checked, accelerator, model.context_max, options);
}

std::int64_t predicted_kv_tokens(const Deployment& deployment, const Catalogue& catalogue) {
  const auto model = catalogue.models().find(deployment.model);
  if (model == catalogue.models().end() || !model->second.shape) return 0;
  const CatalogueVariant* variant = catalogue.find(deployment.model, deployment.variant);
  if (variant == nullptr || variant->engine != "tidegate") return 0;
  CpuEngineMemory memory;
  if (deployment.sequences_max > 0) memory.sequences_max = deployment.sequences_max;
  if (const auto mib = option_number(deployment, "kv.mib")) {
    constexpr std::int64_t kMibMax = 1 << 20;  // the worker's own limit
    if (*mib < 1 || *mib > kMibMax) return 0;
    memory.kv_bytes_max = *mib << 20;
  }
  return predicted_kv_tokens(*model->second.shape, model->second.context_max, memory);
}

Status check_deployment(const Deployment& deployment, const Catalogue& catalogue) {
  TG_TRY(check_name(deployment.name, "name"));
  TG_TRY(check_placement(deployment));
  TG_TRY(check_name(deployment.region, "region"));
  TG_TRY(check_name(deployment.pool, "pool"));
  TG_TRY(check_served_name(deployment.serves));
  TG_TRY(check_range(deployment.replicas, kReplicasMax, "replicas"));
  TG_TRY(check_range(deployment.threads, kThreadsMax, "threads"));
  TG_TRY(check_range(deployment.sequences_max, kSequencesMax, "sequences_max"));
  for (std::size_t i = 0; i < deployment.options.size(); ++i) TG_TRY(check_option(deployment.options[i], i));
  TG_TRY(check_autoscale(deployment.autoscale, kReplicasMax));
  if (deployment.autoscale.is_on && !price::load_zone(deployment.autoscale.zone)) {
    return fail(Code::kInvalidArgument, "unknown_zone",
                fmt::format("autoscale.zone '{}' is no IANA time zone such as Asia/Shanghai", deployment.autoscale.zone),
                "autoscale.zone");
  }
  if (!catalogue.models().contains(deployment.model)) {
    return fail(Code::kNotFound, "unknown_model", fmt::format("the catalogue has no model '{}'", deployment.model),
                "model");
  }
  const CatalogueVariant* variant = catalogue.find(deployment.model, deployment.variant);
  if (variant == nullptr) {
    return fail(Code::kNotFound, "unknown_variant",
                fmt::format("'{}' has no variant '{}'", deployment.model, deployment.variant), "variant");
  }
  if (variant->engine == "external" || (variant->engine == "tidegate" && variant->path.empty())) {
    return fail(Code::kFailedPrecondition, "weights_not_held",
                fmt::format("the weights of '{}' {} are not held here; an engine that has them serves behind a worker with "
                            "engine = external (docs/external.md)",
                            deployment.model, deployment.variant),
                "variant");
  }
  return {};
}

std::vector<ReplicaSpec> replica_specs(const Deployment& deployment, const Catalogue& catalogue,
                                       const std::string& models_folder) {
  const CatalogueVariant* variant = catalogue.find(deployment.model, deployment.variant);
  std::vector<ReplicaSpec> specs;
  if (variant == nullptr) return specs;  // the catalogue lost it since the deployment was saved
  const bool is_sim = variant->engine == "sim";
  const std::string& asked_for = public_model(deployment);
  // An answer says what wrote it: also when that is another model than the one that was asked for.
  const std::string shown =
      asked_for == deployment.model ? deployment.variant : deployment.model + "/" + deployment.variant;
  for (std::int32_t i = 0; i < deployment.replicas; ++i) {
    specs.push_back({.replica = replica_name(deployment.name, deployment.revision, i),
                     .deployment = deployment.name,
                     .model = asked_for,
                     .variant = shown,
                     .engine = is_sim ? "sim" : "cpu",
                     .model_path = variant->path.empty() ? "" : models_folder + "/" + variant->path,
                     .region = deployment.region,
                     .pool = deployment.pool,
                     .threads = deployment.threads,
                     .sequences_max = deployment.sequences_max,
                     .options = deployment.options});
  }
  return specs;
}

}  // namespace tidegate::scheduler
