// Verbs that need no installation: they run the engine's own libraries here.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <iostream>
#include <utility>

#include "base/core/log.h"
#include "base/crypto/api_key.h"
#include "base/json/json.h"
#include "cli/commands.h"
#include "cli/text_table.h"
#include "worker/tokenizer/tokenizer.h"
#include "worker/verify/golden_pairs.h"
#include "worker/verify/verify.h"

namespace tidegate::cli {

namespace {

Status tokenize(const Arguments& arguments) {
  TG_ASSIGN(const std::string dir, arguments.required_option("model"));
  TG_ASSIGN(const worker::Tokenizer tokenizer, worker::Tokenizer::load(dir));
  const auto added = arguments.has("plain") ? worker::AddedTokens::kRefuse : worker::AddedTokens::kAllow;
  std::string line;
  for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.empty()) continue;
    auto text = json::parse(line);
    if (!text || !text->is_string()) {
      return fail(Code::kInvalidArgument, "bad_input", fmt::format("line {} is not a JSON string such as \"hello\"", number));
    }
    const auto& string = text->get_string();
    fmt::print("[{}]\n", fmt::join(tokenizer.encode({string.data(), string.size()}, added), ","));
  }
  return {};
}

constexpr std::int64_t kVerifyThreadsMax = 1024;

/// One line a model; every one is looked at, whatever the ones before it said.
Status engine_verify_all(const Arguments& arguments, const worker::VerifyOptions& options) {
  if (arguments.has("model") || arguments.has("golden")) {
    return fail(Code::kInvalidArgument, "bad_usage",
                "--all finds models and golden files itself; leave --model and --golden away");
  }
  TG_ASSIGN(const auto pairs, worker::golden_pairs(arguments.option("all"), arguments.option("models", "models")));
  TextTable table({"golden", "architecture", "kernels", "taps", "compared", "nearest tap", "of tolerance", "not covered",
                   "result"});
  json::array reports;
  std::size_t failed = 0;
  for (const worker::GoldenPair& pair : pairs) {
    const auto report = worker::verify_golden(pair.model, pair.golden, options);
    if (!report) {
      ++failed;
      table.add({pair.name, "", "", "0", "0", report.error().message, "", "", "FAIL"});
      reports.push_back(json::object{{"golden", pair.golden.string()}, {"passed", false}, {"error", report.error().message}});
      continue;
    }
    failed += report->passed() ? 0 : 1;
    std::int64_t compared = 0;
    for (const worker::TapDifference& tap : report->taps) compared += tap.compared;
    const worker::TapDifference* nearest = report->nearest();
    table.add({pair.name, report->architecture, report->kernels, fmt::format("{}", report->taps.size()),
               fmt::format("{}", compared),
               nearest == nullptr ? "" : nearest->tap, nearest == nullptr ? "" : fmt::format("{:.3g}", nearest->share()),
               fmt::format("{}", fmt::join(report->not_covered, ", ")), report->passed() ? "ok" : "FAIL"});
    reports.push_back(worker::to_json(*report));
  }
  if (arguments.wants_json()) {
    fmt::print("{}\n", json::serialize(json::value(std::move(reports))));
  } else {
    fmt::print("{}{} passed, {} failed\n", table.render(), pairs.size() - failed, failed);
  }
  if (failed > 0) return fail(Code::kDataLoss, "golden_mismatch", "");
  return {};
}

Status engine_verify(const Arguments& arguments) {
  worker::VerifyOptions options;
  TG_ASSIGN(const auto threads, arguments.integer_within("threads", options.threads, 1, kVerifyThreadsMax));
  options.threads = static_cast<int>(threads);
  if (arguments.has("all")) return engine_verify_all(arguments, options);
  TG_ASSIGN(const std::string model, arguments.required_option("model"));
  TG_ASSIGN(const std::string golden, arguments.required_option("golden"));
  TG_ASSIGN(const worker::VerifyReport report, worker::verify_golden(model, golden, options));
  if (arguments.wants_json()) {
    fmt::print("{}\n", json::serialize(worker::to_json(report)));
  } else {
    fmt::print("{}", worker::to_text(report));
  }
  // Differences are in the report; the exit code is all that is left to say.
  if (!report.passed()) return fail(Code::kDataLoss, "golden_mismatch", "");
  return {};
}

Status admin_key(const Arguments& arguments) {
  SystemEntropy entropy;
  const MintedKey key = mint_api_key(entropy, KeyKind::kAdmin);
  if (arguments.wants_json()) {
    fmt::print(R"({{"admin_key":"{}"}})" "\n", key.text);
  } else {
    fmt::print("{}\n", key.text);
  }
  return {};
}

}  // namespace

std::vector<Command> engine_commands() {
  return {
      {"tokenize", "Read JSON strings from standard input, one a line; print their token ids.", "--model DIR [--plain]",
       "  echo '\"春江花月夜\"' | tidegate tokenize --model models/tang-moe\n"
       "  echo '\"<｜User｜>\"' | tidegate tokenize --model models/tang-moe --plain   # as text from outside is encoded\n",
       {"model"}, {"plain"}, tokenize},
      {"engine verify", "Run golden vectors through the engine; print the worst difference per tap.",
       "--model DIR --golden FILE_OR_DIR | --all GOLDENS [--models DIR]  [--threads N]",
       "  tidegate engine verify --model models/tang-moe --golden tests/golden/tang_moe\n"
       "  tidegate engine verify --model tests/golden/deepseek_v3 --golden tests/golden/deepseek_v3\n"
       "  tidegate engine verify --all tests/golden   # every architecture and both demo models, one line each\n",
       {"model", "golden", "all", "models", "threads"}, {}, engine_verify},
      {"admin-key mint", "Make an administrator key for a new installation.", "", "  tidegate admin-key mint > secrets/admin_key\n", {}, {},
       admin_key},
  };
}

}  // namespace tidegate::cli
