#include "worker/verify/verify.h"

#include <fmt/format.h>

#include <algorithm>

#include "worker/model/model_files.h"
#include "worker/verify/compare.h"
#include "worker/verify/golden_file.h"
#include "worker/verify/runner.h"

namespace tidegate::worker {
namespace {

/// Deliberately not a divisor of anything: chunks end inside KV blocks.
constexpr std::size_t kPromptChunk = 7;

std::int64_t count(std::span<const float> values) {
  return static_cast<std::int64_t>(values.size());
}

/// Compares one case; rows go to the report as they are found.
class CaseCheck {
 public:
  CaseCheck(std::string prefix, const GoldenCase& golden, CpuBackend& backend, SequenceRunner& runner,
            std::optional<std::int32_t> vocab_limit, VerifyReport& report)
      : prefix_(std::move(prefix)),
        golden_(golden),
        backend_(backend),
        runner_(runner),
        vocab_limit_(vocab_limit),
        report_(report) {}

  Status run() {
    if (!golden_.tensors.empty()) {
      TG_ASSIGN(const TapRecorder taps, runner_.record(golden_.ids));
      check_tensors(taps);
    }
    if (golden_.tensors.contains("mtp_logits")) TG_TRY(check_mtp_logits());
    TG_TRY(check_greedy());
    if (!golden_.drafts.empty() && backend_.has_mtp()) TG_TRY(check_drafts());
    return {};
  }

 private:
  void add(std::string_view tap, double worst, double tolerance, std::int64_t compared) {
    report_.taps.push_back({fmt::format("{}.{}", prefix_, tap), worst, tolerance, compared});
  }

  void check_tensors(const TapRecorder& taps) {
    for (const auto& [name, golden] : golden_.tensors) {
      if (name == "mtp_logits" || name == "logits_act_quant")
        continue;  // the next step; not this engine's mode
      const std::span<const float> actual = taps.get(name);
      if (name.starts_with("router_idx.")) {
        const std::int64_t k = backend_.spec().moe.experts_per_token;
        add(name, static_cast<double>(differing_sets(actual, golden, k)), 0, count(golden) / k);
      } else if (name.starts_with("router_w.")) {
        check_router_weights(name, taps, golden);
      } else if (name == "logits") {
        check_logits("logits", actual, golden, golden_.logits_rms);
      } else {
        add(name, worst_difference(actual, golden) / rms(golden), kTensorTolerance, count(golden));
      }
    }
  }

  void check_router_weights(const std::string& name, const TapRecorder& taps, std::span<const float> golden) {
    const std::string indices = "router_idx" + name.substr(name.find('.'));
    const auto golden_indices = golden_.tensors.find(indices);
    if (golden_indices == golden_.tensors.end()) {
      add(name, 0, kTensorTolerance, 0);  // whose weights they are is not known: nothing compared, fails
      return;
    }
    add(name,
        worst_weight(taps.get(indices), taps.get(name), golden_indices->second, golden,
                     backend_.spec().moe.experts_per_token) /
            rms(golden),
        kTensorTolerance, count(golden));
  }

  void check_logits(std::string_view tap, std::span<const float> actual, std::span<const float> golden,
                    double scale) {
    add(tap, worst_difference(actual, golden) / scale, kTensorTolerance, count(golden));
    add(fmt::format("{}.kl", tap), worst_kl(actual, golden, backend_.facts().vocab_size), kKlTolerance,
        count(golden) / backend_.facts().vocab_size);
  }

  Status check_mtp_logits() {
    if (!backend_.has_mtp()) {
      add("mtp_logits", 0, kTensorTolerance, 0);  // nothing compared: fails
      return {};
    }
    TG_ASSIGN(const std::vector<float> actual, backend_.draft_logits(golden_.ids));
    const std::vector<float>& golden = golden_.tensors.at("mtp_logits");
    check_logits("mtp_logits", actual, golden, rms(golden));
    return {};
  }

  /// Fed with the golden tokens, so that one wrong choice counts once.
  Status check_greedy() {
    TG_ASSIGN(std::vector<float> logits, runner_.prefill(golden_.ids, kPromptChunk));
    if (!golden_.top_ids.empty()) check_top(logits);
    std::int64_t compared = 0;
    std::int64_t wrong = 0;
    for (std::size_t i = 0; i < golden_.greedy.size(); ++i) {
      if (!golden_.margins.empty() && golden_.margins[i] < kTensorTolerance * golden_.logits_rms) break;
      ++compared;
      wrong += greedy_choice(logits, vocab_limit_) == golden_.greedy[i] ? 0 : 1;
      if (i + 1 == golden_.greedy.size()) break;
      TG_ASSIGN(logits, runner_.decode(golden_.greedy[i], static_cast<std::int32_t>(golden_.ids.size() + i)));
    }
    add("greedy", static_cast<double>(wrong), 0, compared);
    return {};
  }

  void check_top(std::span<const float> logits) {
    std::vector<float> actual;
    for (const TokenId id : golden_.top_ids) {
      actual.push_back(
          id >= 0 && static_cast<std::size_t>(id) < logits.size() ? logits[static_cast<std::size_t>(id)] : 0);
    }
    add("first_step_top", worst_difference(actual, golden_.top_logits) / golden_.logits_rms, kTensorTolerance,
        count(actual));
  }

  Status check_drafts() {
    std::vector<TokenId> tokens = golden_.ids;
    tokens.insert(tokens.end(), golden_.greedy.begin(), golden_.greedy.end());
    TG_ASSIGN(const std::vector<float> logits, backend_.draft_logits(tokens));
    const auto vocab = static_cast<std::size_t>(backend_.facts().vocab_size);
    std::int64_t compared = 0;
    std::int64_t wrong = 0;
    for (std::size_t i = 0; i < std::min(golden_.drafts.size(), golden_.greedy.size()); ++i) {
      if (golden_.draft_margins[i] < kTensorTolerance * golden_.logits_rms) continue;
      // The row whose newest token is greedy[i].
      const auto row = std::span(logits).subspan((golden_.ids.size() + i - 1) * vocab, vocab);
      ++compared;
      wrong += greedy_choice(row, vocab_limit_) == golden_.drafts[i] ? 0 : 1;
    }
    add("mtp_drafts", static_cast<double>(wrong), 0, compared);
    return {};
  }

  const std::string prefix_;
  const GoldenCase& golden_;
  CpuBackend& backend_;
  SequenceRunner& runner_;
  const std::optional<std::int32_t> vocab_limit_;
  VerifyReport& report_;
};

/// Parts of the model that no case of the golden file looks into, or that the file has and the model lacks.
std::vector<std::string> parts_not_covered(const GoldenFile& golden, const CpuBackend& backend) {
  bool has_router = false;
  bool has_mtp = false;
  for (const GoldenCase& one : golden.cases) {
    for (const auto& [name, values] : one.tensors) {
      has_router = has_router || name.starts_with("router_w.");
      has_mtp = has_mtp || name == "mtp_logits";
    }
    has_mtp = has_mtp || !one.drafts.empty();
  }
  std::vector<std::string> parts;
  if (backend.spec().moe.experts > 0 && !has_router) parts.emplace_back("router");
  if (backend.has_mtp() != has_mtp) parts.emplace_back("mtp");
  return parts;
}

}  // namespace

Result<VerifyReport> verify_golden(const std::filesystem::path& model_dir,
                                   const std::filesystem::path& golden_file_or_dir,
                                   const VerifyOptions& options) {
  TG_ASSIGN(const GoldenFile golden, read_golden(golden_file_or_dir));
  TG_ASSIGN(ModelFiles model, open_model_files(model_dir));
  if (options.adjust) options.adjust(model.spec);
  TG_ASSIGN(
      const auto backend,
      CpuBackend::create(std::move(model.spec), model.checkpoint,
                         {.threads = options.threads, .isa = options.isa, .digest = false, .mtp = true}));
  std::size_t tokens_max = 1;
  for (const GoldenCase& one : golden.cases)
    tokens_max = std::max(tokens_max, one.ids.size() + one.greedy.size());
  TG_ASSIGN(SequenceRunner runner, SequenceRunner::create(*backend, static_cast<std::int64_t>(tokens_max)));

  VerifyReport report{.model = model_dir.string(),
                      .golden = golden.path.string(),
                      .architecture = backend->facts().architecture,
                      .kernels = std::string(isa_name(backend->isa()))};
  for (std::size_t i = 0; i < golden.cases.size(); ++i) {
    CaseCheck check(fmt::format("case{}", i), golden.cases[i], *backend, runner, golden.vocab_limit, report);
    TG_TRY(check.run());
  }
  report.not_covered = parts_not_covered(golden, *backend);
  return report;
}

}  // namespace tidegate::worker
