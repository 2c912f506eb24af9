// Schemas, and text under them.
//
// Input: a schema, a zero byte, then bytes that are fed to its grammar one by one. What must hold: compiling is bounded
// and never crashes; a text that is accepted whole is JSON; rollback leaves what was there before.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/core/check.h"
#include "base/json/json.h"
#include "worker/engine/grammar/grammar.h"
#include "worker/engine/grammar/matcher.h"

using tidegate::worker::grammar::Grammar;
using tidegate::worker::grammar::GrammarLimits;
using tidegate::worker::grammar::Matcher;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t split = input.find('\0');
  const GrammarLimits limits{
      .schema_bytes_max = 4096, .nodes_max = 20'000, .edges_max = 60'000, .pattern_work_max = 200'000};
  const auto grammar = Grammar::from_json_schema(input.substr(0, split), limits);
  if (!grammar || split == std::string_view::npos) return 0;

  const std::string_view text = input.substr(split + 1);
  Matcher matcher(*grammar);
  std::size_t accepted = 0;
  for (const char byte : text) {
    const bool could_end = matcher.can_end();
    if (!matcher.accept(std::string_view(&byte, 1))) {
      TG_CHECK(matcher.can_end() == could_end);
      break;
    }
    matcher.rollback(1);
    TG_CHECK(matcher.can_end() == could_end);
    TG_CHECK(matcher.accept(std::string_view(&byte, 1)));
    TG_CHECK(!matcher.configs().empty());
    ++accepted;
  }
  if (matcher.can_end()) TG_CHECK(tidegate::json::parse(text.substr(0, accepted), 64).has_value());
  return 0;
}
