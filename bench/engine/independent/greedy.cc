// engine_greedy MODEL [TOKENS] [THREADS]: the engine's own half of the independent check.
//
// Reads prompts from standard input, one JSON list of token ids a line; for each prints one line
// {"tokens":[...],"margins":[...],"seconds":[...],"rms":[...]}: the greedy continuation, and for each step by how much the first
// logit led the second, whose that one was, and the root mean square of all. The first line printed describes the model. No
// sampling, no batching, no cache between prompts: the forward pass alone.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json/json.h"
#include "base/json/json_dump.h"
#include "worker/backend/load.h"

namespace tidegate::worker {
namespace {

struct Choice {
  TokenId token = 0;
  TokenId second = 0;
  float margin = 0;
  double rms = 0;
};

/// The largest logit, the lowest id among equals.
Choice choose(std::span<const float> logits) {
  Choice best;
  float first = logits[0];
  float second = -1e30f;
  double squares = double{logits[0]} * logits[0];
  for (std::size_t i = 1; i < logits.size(); ++i) {
    squares += double{logits[i]} * logits[i];
    if (logits[i] > first) {
      second = first;
      best.second = best.token;
      first = logits[i];
      best.token = static_cast<TokenId>(i);
    } else if (logits[i] > second) {
      second = logits[i];
      best.second = static_cast<TokenId>(i);
    }
  }
  best.margin = first - second;
  best.rms = std::sqrt(squares / static_cast<double>(logits.size()));
  return best;
}

Result<std::vector<TokenId>> read_prompt(const std::string& line, const ModelFacts& facts, int tokens) {
  TG_ASSIGN(const json::value value, json::parse(line));
  if (!value.is_array() || value.get_array().empty()) {
    return fail(Code::kInvalidArgument, "bad_input", "a line is not a JSON list of token ids");
  }
  std::vector<TokenId> prompt;
  for (const json::value& id : value.get_array()) {
    if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() >= facts.vocab_size) {
      return fail(Code::kInvalidArgument, "bad_input", fmt::format("a token that is not in [0, {})", facts.vocab_size));
    }
    prompt.push_back(static_cast<TokenId>(id.get_int64()));
  }
  if (std::ssize(prompt) + tokens > facts.context_max) {
    return fail(Code::kInvalidArgument, "bad_input",
                fmt::format("{} tokens and {} more; the context holds {}", prompt.size(), tokens, facts.context_max));
  }
  return prompt;
}

Status answer(Backend& backend, std::vector<TokenId> next, int tokens, std::span<const std::int32_t> blocks) {
  json::array chosen;
  json::array margins;
  json::array seconds;
  json::array rms;
  std::vector<float> logits(static_cast<std::size_t>(backend.facts().vocab_size));
  std::int32_t position = 0;
  for (int i = 0; i < tokens; ++i) {
    const BatchSequence sequence{.tokens = next, .position = position, .blocks = blocks, .want_logits = true};
    TG_TRY(backend.forward({&sequence, 1}, logits));
    position += static_cast<std::int32_t>(next.size());
    const Choice choice = choose(logits);
    chosen.emplace_back(choice.token);
    margins.emplace_back(static_cast<double>(choice.margin));
    seconds.emplace_back(choice.second);
    rms.emplace_back(choice.rms);
    next.assign(1, choice.token);
  }
  json::object out;
  out["tokens"] = std::move(chosen);
  out["margins"] = std::move(margins);
  out["seconds"] = std::move(seconds);
  out["rms"] = std::move(rms);
  fmt::print("{}\n", json::dump(json::value(std::move(out))));
  return {};
}

Status run(const std::string& model, int tokens, int threads) {
  LoadOptions options;
  options.threads = threads;
  TG_ASSIGN(const auto backend, load_backend(model, options));
  const ModelFacts& facts = backend->facts();
  json::object described;
  described["architecture"] = facts.architecture;
  described["weights_digest"] = facts.weights_digest;
  described["vocab"] = facts.vocab_size;
  described["context"] = facts.context_max;
  described["parameters"] = facts.parameters;
  fmt::print("{}\n", json::dump(json::value(std::move(described))));
  // One sequence lives at a time, over the whole context if need be.
  const std::int32_t count = (facts.context_max + kKvBlockTokens - 1) / kKvBlockTokens;
  const std::int32_t blocks_max = std::min<std::int32_t>(count, 256);
  TG_TRY(backend->alloc_kv(blocks_max));
  std::vector<std::int32_t> blocks(static_cast<std::size_t>(blocks_max));
  for (std::int32_t i = 0; i < blocks_max; ++i) blocks[static_cast<std::size_t>(i)] = i;
  std::string line;
  while (std::getline(std::cin, line)) {
    if (line.empty()) continue;
    TG_ASSIGN(std::vector<TokenId> prompt, read_prompt(line, facts, tokens));
    if (std::ssize(prompt) + tokens > std::int64_t{blocks_max} * kKvBlockTokens) {
      return fail(Code::kInvalidArgument, "bad_input", fmt::format("more than {} tokens", blocks_max * kKvBlockTokens));
    }
    TG_TRY(answer(*backend, std::move(prompt), tokens, blocks));
  }
  return {};
}

/// 0: not a number from 1 on.
int number_in(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value > 0 && value <= 4096 ? value : 0;
}

}  // namespace
}  // namespace tidegate::worker

int main(int argc, char** argv) {
  using namespace tidegate;
  const int tokens = argc > 2 ? worker::number_in(argv[2]) : 64;
  const int threads = argc > 3 ? worker::number_in(argv[3]) : 2;
  if (argc < 2 || argc > 4 || tokens == 0 || threads == 0) {
    fmt::print(stderr, "usage: engine_greedy MODEL [TOKENS] [THREADS] < prompts\n");
    return 2;
  }
  const Status status = worker::run(argv[1], tokens, threads);
  if (!status) {
    fmt::print(stderr, "engine_greedy: {}\n", status.error().message);
    return 1;
  }
  return 0;
}
