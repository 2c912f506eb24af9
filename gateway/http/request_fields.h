#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json/json.h"
#include "gateway/core/plan.h"

/// Reading a request: the steps that dialects share, and the words of their refusals. All errors are invalid_argument
/// and name the field, the limit and the fix.
namespace tidegate::gateway {

/// invalid_value: "'<field>' <rule>."
std::unexpected<Error> refuse_value(std::string field, std::string_view rule);
/// wrong_type: "'<field>' must be <wanted>."
std::unexpected<Error> refuse_type(std::string field, std::string_view wanted);
/// unsupported_parameter: "'<field>' is not supported here; <fix>."
std::unexpected<Error> refuse_feature(std::string field, std::string_view fix);

/// The body as a JSON object. Fails: invalid_json (also invalid UTF-8).
Result<json::object> parse_request_body(std::string_view body);

enum class FieldUse : std::uint8_t {
  kServed,   ///< read by the parser
  kIgnored,  ///< any value: it steers things that have no meaning here
  kRefused,  ///< unsupported_parameter, unless the value asks for nothing
};

/// What a dialect does with a field that it knows.
struct FieldRule {
  std::string_view name;
  FieldUse use = FieldUse::kServed;
  /// Of a refused field: values that ask for nothing. Null and empty containers always do.
  bool (*asks_for_nothing)(const json::value& value) = nullptr;
  std::string_view fix = "leave it out, or send its default";
};

/// Refuses fields that ask for what is not served; counts those without effect, known or not, in `ignored`. `path` is
/// the object's own, "" at the root.
Status check_members(const json::object& object, std::span<const FieldRule> rules, std::string_view path,
                     std::int32_t& ignored);
/// The same for the object of that name, if there is one.
Status check_object(const json::object& root, std::string_view name, std::span<const FieldRule> rules,
                    std::int32_t& ignored);

/// True when the value is one of these words.
bool is_word(const json::value& value, std::initializer_list<std::string_view> words);
/// True for an object whose `type` is one of these words.
bool is_object_of_type(const json::value& value, std::initializer_list<std::string_view> words);

/// Counts members of a block that nobody reads: all but `type` and those `known`.
void count_rest(const json::object& block, std::initializer_list<std::string_view> known, std::int32_t& ignored);
/// The object of that name; null when it is absent or null.
Result<const json::object*> find_object(const json::object& root, std::string_view name);
/// An array of strings; empty when absent.
Result<std::vector<std::string>> find_strings(const json::object& root, std::string_view name);
/// A ceiling of 1 to PlanLimits::kCompletionTokensMax tokens; 0 when absent.
Result<std::int32_t> find_token_limit(const json::object& root, std::string_view name);
/// temperature, top_p, top_k (-1 and 0 = off) and seed, named alike by every dialect. Other ranges are check_plan's.
Status parse_sampling(const json::object& root, PlanSampling& sampling);
/// A string, or parts of these types whose texts are joined by line breaks, as other servers of these models do.
Result<std::string> parse_text(const json::value& value, const std::string& path,
                               std::span<const std::string_view> types);

}  // namespace tidegate::gateway
