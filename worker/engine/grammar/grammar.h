#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "worker/engine/grammar/automaton.h"

namespace tidegate::worker::grammar {

/// What one schema may cost. Compiling takes time and memory in proportion to these, whatever the text says.
struct GrammarLimits {
  std::size_t schema_bytes_max = 64 * 1024;
  std::size_t schema_depth_max = 64;  ///< nesting of the schema's own text
  std::uint16_t nesting_max = 32;     ///< nesting of what is generated; many parsers stop there
  std::uint32_t nodes_max = 100'000;
  std::uint32_t edges_max = 400'000;
  std::size_t rules_max = 10'000;        ///< places of the schema
  std::size_t alternatives_max = 1'000;  ///< of anyOf and oneOf, in all, multiplied out where they meet
  std::size_t pattern_bytes_max = 1024;
  std::uint32_t pattern_states_max = 2'000;  ///< of all patterns and formats together
  std::int64_t pattern_work_max = 20'000'000;
  std::size_t tools_max = 128;
};

/// A tool that a model may call: its name, and the schema of its arguments ("" for any object).
struct ToolSignature {
  std::string name;
  std::string_view parameters_json;
};

/// Text around tool calls, as a model family writes it. A control piece is matched by the added token of that spelling
/// only, never by the same characters in text.
struct FramePiece {
  std::string text;
  bool control = false;
};
struct ToolFraming {
  std::vector<FramePiece> before_calls, before_name, before_arguments, after_arguments, between_calls, after_calls;
  /// DeepSeek-V3 and R1: a call is "function", its name, and the arguments in a fenced block.
  static ToolFraming deepseek_v3();
  /// DeepSeek-V3.1 and later: name and arguments without a fence.
  static ToolFraming deepseek_v31();
};

enum class ToolMode : std::uint8_t {
  kAuto,      ///< text, then perhaps calls, whose frame must begin with a control piece
  kRequired,  ///< at least one call and nothing else
};

/// What an answer may say: a compiled, immutable language over bytes. Thread-safe; shared by the sequences that obey
/// it (hence shared_ptr) and by the masks computed for it.
///
/// Everything that a grammar from a schema accepts is valid JSON and satisfies the schema (for oneOf: at least one of
/// the alternatives). Not everything that satisfies the schema is accepted; README.md lists what is left out.
class Grammar {
 public:
  using Pointer = std::shared_ptr<const Grammar>;

  /// Fails: invalid_argument, with the JSON pointer of the place in Error::field and in the message:
  /// schema_too_large, invalid_json, schema_invalid, schema_unsupported (the keyword is named), schema_reference,
  /// schema_recursion, schema_unsatisfiable, schema_too_complex, pattern_invalid, pattern_unsupported,
  /// pattern_too_complex.
  static Result<Pointer> from_json_schema(std::string_view schema_json, const GrammarLimits& limits = {});
  /// Any JSON object, any JSON value.
  static Pointer json_object(const GrammarLimits& limits = {});
  static Pointer json_value(const GrammarLimits& limits = {});
  /// Calls of these tools, at most `calls_max` (>= 1), in this framing. Fails as from_json_schema does, the field then
  /// beginning with "tools[n].parameters"; invalid_argument/schema_invalid for a name twice or a framing that cannot
  /// be.
  static Result<Pointer> from_tool_calls(std::span<const ToolSignature> tools, ToolMode mode,
                                         const ToolFraming& framing, std::uint32_t calls_max,
                                         const GrammarLimits& limits = {});

  const Automaton& automaton() const { return automaton_; }
  /// Equal keys mean equal languages: what masks are shared by.
  const std::string& key() const { return key_; }

  Grammar(Automaton automaton, std::string key) : automaton_(std::move(automaton)), key_(std::move(key)) {}

 private:
  Automaton automaton_;
  std::string key_;
};

}  // namespace tidegate::worker::grammar
