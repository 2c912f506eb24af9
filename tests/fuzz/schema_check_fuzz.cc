// A strict schema as a client gives it, and an answer held against it.
//
// Input: a schema, a zero byte, then the answer. What must hold: a schema that was let in can be checked with; a verdict is
// the same again and names its rule; what follows a schema is JSON; and what the engine's grammar of the schema lets a model
// write is never called broken.
#include <string>
#include <string_view>

#include "base/json/json.h"
#include "gateway/schema/json_schema.h"
#include "gateway/schema/schema_check.h"
#include "tests/fuzz/input.h"
#include "worker/engine/grammar/grammar.h"
#include "worker/engine/grammar/matcher.h"

namespace {

using tidegate::gateway::SchemaCheck;
using tidegate::worker::grammar::Grammar;
using tidegate::worker::grammar::GrammarLimits;
using tidegate::worker::grammar::Matcher;

/// Whether a model may write it under the schema, and end there.
bool may_be_written(const std::string& schema, std::string_view text) {
  const GrammarLimits limits{
      .schema_bytes_max = 4096, .nodes_max = 20'000, .edges_max = 60'000, .pattern_work_max = 200'000};
  const auto grammar = Grammar::from_json_schema(schema, limits);
  if (!grammar) return false;
  Matcher matcher(*grammar);
  return matcher.accept(text) && matcher.can_end();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tidegate;
  const std::string_view input = fuzz::Input(data, size).rest();
  const std::size_t split = input.find('\0');
  const auto schema = gateway::read_schema_text(input.substr(0, split), "schema", true);
  if (!schema || schema->empty()) return 0;
  auto check = SchemaCheck::open(*schema);
  auto again = SchemaCheck::open(*schema);
  TG_CLAIM("a schema that was let in can be checked with", check.has_value() && again.has_value());

  const std::string_view text = split == std::string_view::npos ? std::string_view() : input.substr(split + 1);
  const Status verdict = check->check(text, "answer");
  const Status repeated = again->check(text, "answer");
  TG_CLAIM("a verdict is the same again", verdict == repeated);
  if (verdict) {
    TG_CLAIM("what follows a schema is JSON", json::parse(text, SchemaCheck::kTextDepthMax + 1).has_value());
    return 0;
  }
  const Error& error = verdict.error();
  if (error.code == Code::kResourceExhausted) return 0;
  TG_CLAIM("a broken answer is named for its rule", error.code == Code::kInvalidArgument && !error.reason.empty());
  TG_CLAIM("and its place", error.field.starts_with("answer"));
  TG_CLAIM("what a grammar lets a model write is not broken", !may_be_written(*schema, text));
  return 0;
}
