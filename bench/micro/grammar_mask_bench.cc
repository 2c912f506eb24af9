// Time to compute the set of tokens that may come next, per sampled token, without a model.
//
//   grammar_mask_bench MODEL_DIR [SECONDS]
//
// MODEL_DIR holds a tokenizer.json (the figures that matter are those of a vocabulary of 129k). Answers are random:
// each token is drawn from its mask, words preferred, so that strings have some length. "cold" is the first answers of
// a schema, when most places are met for the first time; "warm" is later ones.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "base/core/random.h"
#include "worker/engine/grammar/mask_cache.h"
#include "worker/tokenizer/tokenizer.h"

namespace tidegate::worker::grammar {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kColdTokens = 200;
constexpr std::size_t kAnswerTokensMax = 2000;

constexpr std::string_view kPerson = R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer",
  "minimum":0,"maximum":130},"email":{"type":"string","format":"email"},"tags":{"type":"array","items":{"type":"string",
  "maxLength":20},"maxItems":5},"address":{"type":"object","properties":{"city":{"type":"string"},"zip":{"type":"string",
  "pattern":"^[0-9]{6}$"}},"required":["city"]}},"required":["name","age"]})";
constexpr std::string_view kTree = R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"label":{
  "enum":["root","branch","leaf"]},"note":{"type":"string","maxLength":200},"children":{"type":"array","maxItems":4,
  "items":{"$ref":"#/$defs/node"}}},"required":["label","children"]}}})";

double microseconds(Clock::duration duration) { return std::chrono::duration<double, std::micro>(duration).count(); }

std::shared_ptr<const Vocabulary> vocabulary_of(const Tokenizer& tokenizer) {
  std::vector<Vocabulary::Token> tokens;
  for (TokenId id = 0; id < tokenizer.vocab_limit(); ++id) {
    tokens.push_back({.id = id,
                      .bytes = tokenizer.token_bytes(id),
                      .kind = tokenizer.is_control(id) ? TokenKind::kControl : TokenKind::kText});
  }
  return std::make_shared<const Vocabulary>(tokens, tokenizer.vocab_limit());
}

class Bench {
 public:
  Bench(const Tokenizer& tokenizer, std::shared_ptr<const Vocabulary> vocabulary, double seconds)
      : tokenizer_(tokenizer), vocabulary_(std::move(vocabulary)), mask_(vocabulary_->limit()), seconds_(seconds) {}

  void run(std::string_view name, const Grammar::Pointer& grammar) {
    MaskCache cache(vocabulary_);
    std::vector<double> cold, warm;
    const auto begin = Clock::now();
    while (std::chrono::duration<double>(Clock::now() - begin).count() < seconds_) {
      answer(grammar, cache, cold.size() < kColdTokens ? cold : warm);
    }
    fmt::print("{:<12}  cold {}   warm {}\n", name, summary(cold), summary(warm));
  }

 private:
  void answer(const Grammar::Pointer& grammar, MaskCache& cache, std::vector<double>& times) {
    Matcher matcher(grammar);
    const auto table = cache.table_for(*grammar);
    for (std::size_t tokens = 0; tokens < kAnswerTokensMax; ++tokens) {
      const auto begin = Clock::now();
      cache.fill(matcher, *table, mask_);
      times.push_back(microseconds(Clock::now() - begin));
      if (mask_.empty() || !matcher.accept(tokenizer_.token_bytes(draw()))) return;
    }
  }

  TokenId draw() {
    std::vector<TokenId> ids;
    mask_.each([&](TokenId id) {
      if (!tokenizer_.is_control(id)) ids.push_back(id);
    });
    if (ids.empty()) return 0;
    // Now and then a token that ends something: otherwise strings would go on for hundreds of tokens.
    if (rng_.below(4) == 0) {
      const auto ends = [&](TokenId id) {
        return tokenizer_.token_bytes(id).find_first_of("\"]}") != std::string_view::npos;
      };
      const auto found = std::find_if(ids.begin(), ids.end(), ends);
      if (found != ids.end()) return *found;
    }
    return ids[rng_.below(ids.size())];
  }

  static std::string summary(std::vector<double>& times) {
    if (times.empty()) return "-";
    std::sort(times.begin(), times.end());
    double total = 0;
    for (const double time : times) total += time;
    const auto at = [&](double share) {
      return times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))];
    };
    return fmt::format("n {:>7}  mean {:8.1f}  p50 {:8.1f}  p99 {:8.1f}  max {:8.1f} us", times.size(),
                       total / static_cast<double>(times.size()), at(0.5), at(0.99), times.back());
  }

  const Tokenizer& tokenizer_;
  std::shared_ptr<const Vocabulary> vocabulary_;
  TokenMask mask_;
  double seconds_;
  Rng rng_{1};
};

int run(const char* dir, double seconds) {
  const auto tokenizer = Tokenizer::load(dir);
  if (!tokenizer) {
    fmt::print(stderr, "{}\n", tokenizer.error().to_string());
    return 1;
  }
  auto begin = Clock::now();
  const auto vocabulary = vocabulary_of(*tokenizer);
  fmt::print("{} tokens, tries built in {:.1f} ms\n", vocabulary->limit(), microseconds(Clock::now() - begin) / 1000);
  Bench bench(*tokenizer, vocabulary, seconds);
  bench.run("json_object", Grammar::json_object());
  for (const auto& [name, schema] : {std::pair{"person", kPerson}, {"tree", kTree}}) {
    begin = Clock::now();
    const auto grammar = Grammar::from_json_schema(schema);
    if (!grammar) {
      fmt::print(stderr, "{}\n", grammar.error().to_string());
      return 1;
    }
    fmt::print("{}: {} states, compiled in {:.1f} ms\n", name, (*grammar)->automaton().nodes.size(),
               microseconds(Clock::now() - begin) / 1000);
    bench.run(name, *grammar);
  }
  return 0;
}

}  // namespace
}  // namespace tidegate::worker::grammar

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "grammar_mask_bench MODEL_DIR [SECONDS]\n");
    return 2;
  }
  constexpr double kSeconds = 5;
  return tidegate::worker::grammar::run(argv[1], argc > 2 ? std::atof(argv[2]) : kSeconds);
}
