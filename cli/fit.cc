// `tidegate model fit`: needs no installation. The catalogue's data and the scheduler's own arithmetic, run here.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/json/json.h"
#include "cli/commands.h"
#include "cli/text_table.h"
#include "scheduler/catalogue/accelerator_file.h"
#include "scheduler/catalogue/catalogue_file.h"
#include "scheduler/core/speed.h"

namespace tidegate::cli {

namespace {

using scheduler::AcceleratorKind;
using scheduler::CatalogueModel;
using scheduler::CatalogueVariant;
using scheduler::Fit;
using scheduler::FitOptions;
using scheduler::SpeedEstimate;

constexpr std::int32_t kRanksUsual = 8;

/// Everything the question is about.
struct Question {
  CatalogueModel model;
  CatalogueVariant variant;
  AcceleratorKind accelerator;
  std::optional<scheduler::Layout> layout;  ///< empty: the nearest one that fits a usual node
  FitOptions options;
};

/// models/ of --models, of the working folder, or of the tree this program was built or installed in.
std::string models_folder(const Arguments& arguments) {
  if (arguments.has("models")) return arguments.option("models");
  std::error_code code;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", code).parent_path();
  const std::filesystem::path here = "models";
  for (const auto& folder : {here, program / "../../../models", program / "../share/tidegate/models"}) {
    if (std::filesystem::is_directory(folder / "catalogue", code) &&
        std::filesystem::is_directory(folder / "accelerators", code)) {
      return folder.lexically_normal().string();
    }
  }
  return here.string();
}

Result<Question> read_question(const Arguments& arguments) {
  const std::string folder = models_folder(arguments);
  TG_ASSIGN(const scheduler::Catalogue catalogue, scheduler::load_catalogue(folder + "/catalogue"));
  TG_ASSIGN(const scheduler::AcceleratorTable accelerators, scheduler::load_accelerators(folder + "/accelerators"));
  TG_ASSIGN(const std::string model_name, arguments.required_option("model"));
  TG_ASSIGN(const std::string accelerator_name, arguments.required_option("accelerator"));
  TG_ASSIGN(const CatalogueModel* model, catalogue.find_model(model_name));
  TG_ASSIGN(const CatalogueVariant* variant, scheduler::find_variant(*model, arguments.option("precision")));
  TG_ASSIGN(const AcceleratorKind* accelerator, accelerators.find(accelerator_name));
  Question question{
      .model = *model, .variant = *variant, .accelerator = *accelerator, .layout = std::nullopt, .options = {}};
  question.options.kv = variant->kv;
  if (arguments.has("kv")) {
    TG_ASSIGN(question.options.kv, scheduler::parse_kv_precision(arguments.option("kv")));
  }
  if (arguments.has("layout")) {
    TG_ASSIGN(question.layout, scheduler::parse_layout(arguments.option("layout")));
  }
  TG_ASSIGN(const std::int64_t percent, arguments.integer_within("utilisation", 90, 1, 100));
  question.options.utilisation_permille = static_cast<std::int32_t>(percent * 10);
  TG_ASSIGN(const std::int64_t slack, arguments.integer_within("slack-mib", 4096, 0, 1 << 20));
  question.options.slack_bytes = slack << 20;
  TG_ASSIGN(question.options.context, arguments.integer_within("context", 0, 0, 1 << 24));
  question.options.with_draft = arguments.has("draft");
  return question;
}

json::array texts(const std::vector<std::string>& list) {
  json::array array;
  for (const std::string& each : list) array.emplace_back(each);
  return array;
}

json::array capability_texts(const scheduler::Capabilities& all) {
  json::array array;
  for (const std::string_view name : scheduler::capability_names(all)) array.emplace_back(std::string(name));
  return array;
}

json::object subject_json(const Question& question) {
  json::object out;
  out["model"] = question.model.name;
  out["variant"] = question.variant.name;
  out["precision"] = question.variant.precision;
  out["kv_precision"] = std::string(scheduler::kv_precision_name(question.options.kv));
  out["architecture"] = question.model.architecture;
  out["licence"] = question.model.licence;
  out["capabilities"] = capability_texts(question.model.capabilities);
  out["accelerator"] = question.accelerator.name;
  out["parameters"] = question.variant.parameters;
  if (question.model.shape) {
    json::array allowed;
    for (const auto& layout : scheduler::layouts_allowed(*question.model.shape, question.variant)) {
      allowed.emplace_back(layout.to_string());
    }
    out["layouts_allowed"] = std::move(allowed);
  }
  return out;
}

json::object fit_json(const Fit& fit) {
  json::object out;
  out["layout"] = fit.layout.to_string();
  out["ranks"] = fit.ranks;
  out["weights_bytes"] = fit.weights_bytes;
  out["weights_bytes_per_rank"] = fit.weights_bytes_per_rank;
  out["budget_bytes_per_rank"] = fit.budget_bytes_per_rank;
  out["kv_bytes_per_rank"] = fit.kv_bytes_per_rank;
  out["kv_bytes_per_token"] = fit.kv_bytes_per_token;
  out["kv_bytes_per_token_rank"] = fit.kv_bytes_per_token_rank;
  out["kv_tokens_per_group"] = fit.kv_tokens_per_group;
  out["kv_tokens"] = fit.kv_tokens;
  out["context_max"] = fit.context_max;
  out["concurrency"] = fit.concurrency;
  out["experts_per_rank"] = fit.experts_per_rank;
  out["notes"] = texts(fit.notes);
  return out;
}

/// Prices are whole micro-dollars; a replica has at most 1024 accelerators.
std::int64_t price_of(const Question& question, const Fit& fit) {
  return question.accelerator.price_micro_usd_per_hour * fit.ranks;
}

void print_json(const Question& question, const Fit& fit, const Result<SpeedEstimate>& speed) {
  json::object out = subject_json(question);
  out["fits"] = true;
  for (const auto& member : fit_json(fit)) out[member.key()] = member.value();
  if (question.variant.weights && question.model.shape) {
    out["active_parameters"] =
        scheduler::model_sizes(*question.model.shape, *question.variant.weights).active_parameters;
  }
  if (question.accelerator.price_micro_usd_per_hour > 0) out["price_micro_usd_per_hour"] = price_of(question, fit);
  if (speed) {
    json::object estimate;
    estimate["batch"] = speed->batch;
    estimate["context"] = speed->context;
    estimate["prefill_tokens_per_s"] = std::llround(speed->prefill_tokens_per_s);
    estimate["decode_tokens_per_s"] = std::llround(speed->decode_tokens_per_s);
    estimate["decode_tokens_per_s_each"] = std::round(speed->decode_tokens_per_s_each * 10) / 10;
    out["estimate"] = estimate;
  }
  fmt::print("{}\n", json::serialize(out));
}

void print_refusal(const Question& question, const Error& error) {
  json::object out = subject_json(question);
  out["fits"] = false;
  out["reason"] = error.reason;
  out["message"] = error.message;
  if (question.variant.weights && question.model.shape) {
    const std::int32_t ranks = question.layout ? std::min(question.layout->ranks(), scheduler::kRanksMax) : kRanksUsual;
    const auto nearest = scheduler::nearest_fit(*question.model.shape, *question.variant.weights, std::max(1, ranks),
                                                question.accelerator, question.model.context_max, question.options);
    if (nearest) out["nearest"] = fit_json(*nearest);
  }
  fmt::print("{}\n", json::serialize(out));
}

void print_text(const Question& question, const Fit& fit, const Result<SpeedEstimate>& speed) {
  TextTable table({"WHAT", "VALUE"});
  table.add(
      {"model", fmt::format("{} {} ({})", question.model.name, question.variant.name, question.variant.precision)});
  table.add({"parameters", fmt::format("{}", question.variant.parameters)});
  table.add({"layout", fmt::format("{} on {} x {}", fit.layout.to_string(), fit.ranks, question.accelerator.name)});
  table.add({"weights", fmt::format("{}, {} on each", gib_text(fit.weights_bytes), gib_text(fit.weights_bytes_per_rank))});
  table.add({"for weights and KV", fmt::format("{} on each", gib_text(fit.budget_bytes_per_rank))});
  table.add({"KV", fmt::format("{} B a token in {}, {} on each", fit.kv_bytes_per_token,
                               scheduler::kv_precision_name(question.options.kv), gib_text(fit.kv_bytes_per_rank))});
  table.add({"KV tokens", fmt::format("{} ({} where one sequence lives)", fit.kv_tokens, fit.kv_tokens_per_group)});
  table.add({"longest context", fmt::format("{} of the model's {}", fit.context_max, question.model.context_max)});
  const std::int64_t context = question.options.context > 0 ? question.options.context : fit.context_max;
  table.add({"at once", fmt::format("{} sequences of {} tokens", fit.concurrency, context)});
  if (question.accelerator.price_micro_usd_per_hour > 0) {
    const std::int64_t price = price_of(question, fit);
    table.add({"typical price", fmt::format("{}.{:02} USD/h", price / 1'000'000, price / 10'000 % 100)});
  }
  if (speed) {
    table.add(
        {"estimated speed",
         fmt::format("prompt {:.0f} tokens/s; answers {:.0f} tokens/s in all, {:.1f} each, {} sequences of {} tokens",
                     speed->prefill_tokens_per_s, speed->decode_tokens_per_s, speed->decode_tokens_per_s_each,
                     speed->batch, speed->context)});
  } else {
    table.add({"estimated speed", speed.error().message});
  }
  for (const std::string& note : fit.notes) table.add({"note", note});
  fmt::print("{}", table.render());
}

Status model_fit(const Arguments& arguments) {
  TG_ASSIGN(const Question question, read_question(arguments));
  const auto find = [&question]() -> Result<Fit> {
    if (question.layout)
      return fit_variant(question.model, question.variant, *question.layout, question.accelerator, question.options);
    if (!question.model.shape || !question.variant.weights) {
      // Says what is not known.
      return fit_variant(question.model, question.variant, {}, question.accelerator, question.options);
    }
    const std::int32_t usual = question.accelerator.per_node > 0 ? question.accelerator.per_node : kRanksUsual;
    return scheduler::nearest_fit(*question.model.shape, *question.variant.weights, usual, question.accelerator,
                                  question.model.context_max, question.options);
  };
  const Result<Fit> found = find();
  if (!found) {
    if (arguments.wants_json()) print_refusal(question, found.error());
    return fail(found.error());
  }
  const auto speed = scheduler::estimate_speed(*question.model.shape, *question.variant.weights, *found,
                                               question.accelerator, question.options.context);
  if (arguments.wants_json()) {
    print_json(question, *found, speed);
  } else {
    print_text(question, *found, speed);
  }
  return {};
}

}  // namespace

std::vector<Command> fit_commands() {
  return {{"model fit",
           "Say whether a model fits on accelerators: weights, KV, context, speed. Needs no installation.",
           "--model NAME --accelerator KIND [--layout TP8|TP8+PP2|DP8+EP8|EP32] [--precision P] [--kv bf16|fp8|f32] "
           "[--context N]\n"
           "  [--utilisation PERCENT] [--slack-mib N] [--draft] [--models DIR]",
           "  tidegate model fit --model deepseek-v3 --accelerator h20 --layout TP8\n"
           "  tidegate model fit --model deepseek-r1 --accelerator h200 --layout DP8+EP8 --context 32768 --json\n"
           "  tidegate model fit --model deepseek-r1-distill-qwen-32b --accelerator l40s   # the nearest layout that "
           "fits\n",
           {"model", "accelerator", "layout", "precision", "kv", "context", "utilisation", "slack-mib", "models"},
           {"draft"},
           model_fit}};
}

}  // namespace tidegate::cli
