// Verbs that need no installation: they run the engine's own libraries here.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>

#include "base/core/log.h"
#include "base/crypto/api_key.h"
#include "base/json/json.h"
#include "cli/commands.h"
#include "worker/tokenizer/tokenizer.h"
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

Status engine_verify(const Arguments& arguments) {
  TG_ASSIGN(const std::string model, arguments.required_option("model"));
  TG_ASSIGN(const std::string golden, arguments.required_option("golden"));
  worker::VerifyOptions options;
  TG_ASSIGN(const auto threads, arguments.integer_option("threads", options.threads));
  options.threads = static_cast<int>(threads);
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
       "--model DIR --golden FILE_OR_DIR [--threads N]",
       "  tidegate engine verify --model models/tang-moe --golden tests/golden/tang_moe\n"
       "  tidegate engine verify --model tests/golden/deepseek_v3 --golden tests/golden/deepseek_v3\n",
       {"model", "golden", "threads"}, {}, engine_verify},
      {"admin-key mint", "Make an administrator key for a new installation.", "", "  tidegate admin-key mint > secrets/admin_key\n", {}, {},
       admin_key},
  };
}

}  // namespace tidegate::cli
