#include "worker/engine/grammar/json_rules.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <set>

namespace tidegate::worker::grammar {
namespace {

void hex_digit(AutomatonBuilder& b, NodeId from, NodeId to) {
  b.edge(from, '0', '9', to);
  b.edge(from, 'a', 'f', to);
  b.edge(from, 'A', 'F', to);
}

// One character that needs no escape, from `body` back to `body`.
void add_raw_characters(AutomatonBuilder& b, NodeId body, Op op) {
  b.edge(body, 0x20, 0x21, body, op);
  b.edge(body, 0x23, 0x5B, body, op);
  b.edge(body, 0x5D, 0x7F, body, op);
  const NodeId one = b.node(), two = b.node(), three = b.node();  // continuation bytes still to come
  b.edge(body, 0xC2, 0xDF, one, op);
  b.edge(body, 0xE1, 0xEC, two, op);
  b.edge(body, 0xEE, 0xEF, two, op);
  b.edge(body, 0xF1, 0xF3, three, op);
  b.edge(one, 0x80, 0xBF, body);
  b.edge(two, 0x80, 0xBF, one);
  b.edge(three, 0x80, 0xBF, two);
  // Leads whose second byte is narrower: no overlong forms, no surrogates, nothing above U+10FFFF.
  struct Narrow {
    std::uint8_t lead, low, high;
    NodeId next;
  };
  for (const Narrow& narrow :
       {Narrow{0xE0, 0xA0, 0xBF, one}, {0xED, 0x80, 0x9F, one}, {0xF0, 0x90, 0xBF, two}, {0xF4, 0x80, 0x8F, two}}) {
    const NodeId second = b.node();
    b.edge(body, narrow.lead, narrow.lead, second, op);
    b.edge(second, narrow.low, narrow.high, narrow.next);
  }
}

NodeId add_string(AutomatonBuilder& b, NodeId body) {
  const NodeId start = b.node();
  b.edge(start, '"', body);
  b.edge(body, '"', kDone, Op::kStop);
  add_raw_characters(b, body, Op::kTake);

  const NodeId escape = b.node(), unicode = b.node();
  b.edge(body, '\\', escape, Op::kTake);
  for (const char c : {'"', '\\', '/', 'b', 'f', 'n', 'r', 't'}) b.edge(escape, c, body);
  b.edge(escape, 'u', unicode);
  const NodeId three = b.node(), two = b.node(), one = b.node();  // hex digits still to come
  b.edge(unicode, '0', '9', three);
  for (const char c : {'a', 'A'})
    b.edge(unicode, static_cast<std::uint8_t>(c), static_cast<std::uint8_t>(c + 2), three);
  for (const char c : {'e', 'E'})
    b.edge(unicode, static_cast<std::uint8_t>(c), static_cast<std::uint8_t>(c + 1), three);
  hex_digit(b, three, two);
  hex_digit(b, two, one);
  hex_digit(b, one, body);

  // \uD... is a plain character below D800, else the first half of a pair whose second half must follow.
  const NodeId d = b.node(), high_two = b.node(), high_one = b.node(), pair = b.node(), pair_u = b.node();
  const NodeId low_d = b.node(), low_three = b.node(), low_two = b.node(), low_one = b.node();
  b.edge(unicode, 'd', d);
  b.edge(unicode, 'D', d);
  b.edge(d, '0', '7', two);
  b.edge(d, '8', '9', high_two);
  b.edge(d, 'a', 'b', high_two);
  b.edge(d, 'A', 'B', high_two);
  hex_digit(b, high_two, high_one);
  hex_digit(b, high_one, pair);
  b.edge(pair, '\\', pair_u);
  b.edge(pair_u, 'u', low_d);
  b.edge(low_d, 'd', low_three);
  b.edge(low_d, 'D', low_three);
  b.edge(low_three, 'c', 'f', low_two);
  b.edge(low_three, 'C', 'F', low_two);
  hex_digit(b, low_two, low_one);
  hex_digit(b, low_one, body);
  return start;
}

NodeId add_canonical_body(AutomatonBuilder& b) {
  const NodeId body = b.node();
  b.edge(body, '"', kDone);
  add_raw_characters(b, body, Op::kNone);
  const NodeId escape = b.node();
  b.edge(body, '\\', escape);
  for (const char c : {'"', '\\', 'b', 'f', 'n', 'r', 't'}) b.edge(escape, c, body);
  NodeId at = escape;
  for (const char c : {'u', '0', '0'}) {
    const NodeId next = b.node();
    b.edge(at, c, next);
    at = next;
  }
  const NodeId zero = b.node(), ten = b.node();
  b.edge(at, '0', zero);
  b.edge(at, '1', ten);
  b.edge(zero, '0', '7', body);  // 8, 9, a, c and d have short escapes
  b.edge(zero, 'b', body);
  b.edge(zero, 'e', 'f', body);
  b.edge(ten, '0', '9', body);
  b.edge(ten, 'a', 'f', body);
  return body;
}

// Up to `digits` more; every node of the chain, the first included.
std::vector<NodeId> digit_chain(AutomatonBuilder& b, NodeId from, int digits) {
  std::vector<NodeId> chain{from};
  for (int n = 0; n < digits; ++n) {
    chain.push_back(b.node());
    b.edge(chain[chain.size() - 2], '0', '9', chain.back());
  }
  return chain;
}

NodeId add_integer(AutomatonBuilder& b) {
  const NodeId start = b.node(), minus = b.node(), first = b.node();
  b.edge(start, '0', kDone);
  b.edge(start, '-', minus);
  b.edge(start, '1', '9', first);
  b.edge(minus, '1', '9', first);
  for (const NodeId at : digit_chain(b, first, kIntegerDigitsMax - 1)) b.accept(at);
  return start;
}

NodeId add_number(AutomatonBuilder& b) {
  const NodeId start = b.node(), minus = b.node(), zero = b.node(), minus_zero = b.node(), first = b.node();
  const NodeId point = b.node(), fraction = b.node(), e = b.node(), sign = b.node(), exponent = b.node();
  b.edge(start, '-', minus);
  b.edge(start, '0', zero);
  b.edge(start, '1', '9', first);
  b.edge(minus, '0', minus_zero);
  b.edge(minus, '1', '9', first);
  b.edge(minus_zero, '.', point);  // "-0" alone is left out, as for integers
  const auto e_after = [&](NodeId at) {
    b.accept(at);
    b.edge(at, 'e', e);
    b.edge(at, 'E', e);
  };
  std::vector<NodeId> integers = digit_chain(b, first, kIntegerDigitsMax - 1);
  integers.push_back(zero);
  for (const NodeId at : integers) {
    e_after(at);
    b.edge(at, '.', point);
  }
  b.edge(point, '0', '9', fraction);
  for (const NodeId at : digit_chain(b, fraction, kFractionDigitsMax - 1)) e_after(at);
  b.edge(e, '+', sign);
  b.edge(e, '-', sign);
  b.empty(e, sign);
  b.edge(sign, '0', '9', exponent);
  for (const NodeId at : digit_chain(b, exponent, kExponentDigitsMax - 1)) b.accept(at);
  return start;
}

// Closes a container after a member.
void close_after(AutomatonBuilder& b, NodeId member, char bracket) {
  const NodeId space = b.node();
  b.edge(member, ' ', space);
  b.edge(space, bracket, kDone);
  b.edge(member, bracket, kDone);
}

NodeId add_any_object(AutomatonBuilder& b, NodeId string, NodeId value) {
  const NodeId start = b.node(), opened = b.node(), key = b.node(), colon = b.node(), member = b.node();
  const NodeId comma = b.node();
  b.edge(start, '{', opened, Op::kOpen);
  const NodeId first = optional_space(b, opened);
  b.edge(first, '}', kDone);
  for (const NodeId at : {first, optional_space(b, comma)}) b.call(at, {.start = string}, key, 0);
  b.edge(key, ':', colon);
  b.call(optional_space(b, colon), {.start = value}, member, 1);
  b.edge(member, ',', comma);
  close_after(b, member, '}');
  return start;
}

NodeId add_any_array(AutomatonBuilder& b, NodeId value) {
  const NodeId start = b.node(), opened = b.node(), member = b.node(), comma = b.node();
  b.edge(start, '[', opened, Op::kOpen);
  const NodeId first = optional_space(b, opened);
  b.edge(first, ']', kDone);
  for (const NodeId at : {first, optional_space(b, comma)}) b.call(at, {.start = value}, member, 1);
  b.edge(member, ',', comma);
  close_after(b, member, ']');
  return start;
}

std::string number_text(const json::value& value) {
  if (value.is_int64()) return fmt::format("{}", value.get_int64());
  if (value.is_uint64()) return fmt::format("{}", value.get_uint64());
  return fmt::format("{}", value.get_double());
}

}  // namespace

NodeId optional_space(AutomatonBuilder& b, NodeId from) {
  const NodeId after = b.node();
  b.edge(from, ' ', after);
  b.empty(from, after);
  return after;
}

JsonRules add_json_rules(AutomatonBuilder& b) {
  JsonRules rules;
  rules.string_body = b.node();
  rules.string = add_string(b, rules.string_body);
  rules.canonical_body = add_canonical_body(b);
  rules.integer = add_integer(b);
  rules.number = add_number(b);
  rules.value = b.node();
  rules.object = add_any_object(b, rules.string, rules.value);
  rules.array = add_any_array(b, rules.value);
  for (const NodeId rule : {rules.string, rules.number, rules.object, rules.array})
    b.call(rules.value, {.start = rule}, kDone, 0);
  b.literals(rules.value, {"true", "false", "null"}, kDone);
  b.end_shared(rules.string_body);
  return rules;
}

std::string canonical_escape(char c) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      break;
  }
  const auto byte = static_cast<std::uint8_t>(c);
  return byte < 0x20 ? fmt::format("\\u{:04x}", byte) : std::string();
}

std::string canonical_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const std::string escape = canonical_escape(c);
    if (escape.empty()) {
      out.push_back(c);
    } else {
      out += escape;
    }
  }
  return out;
}

std::string canonical_json(const json::value& value) {
  switch (value.kind()) {
    case boost::json::kind::null:
      return "null";
    case boost::json::kind::bool_:
      return value.get_bool() ? "true" : "false";
    case boost::json::kind::int64:
    case boost::json::kind::uint64:
    case boost::json::kind::double_:
      return number_text(value);
    case boost::json::kind::string:
      return "\"" + canonical_text(std::string_view(value.get_string())) + "\"";
    case boost::json::kind::array: {
      std::string out = "[";
      for (const json::value& item : value.get_array()) {
        if (out.size() > 1) out += ',';
        out += canonical_json(item);
      }
      return out + "]";
    }
    case boost::json::kind::object:
      break;
  }
  std::string out = "{";
  for (const auto& member : value.get_object()) {
    if (out.size() > 1) out += ',';
    out += "\"" + canonical_text(std::string_view(member.key())) + "\":" + canonical_json(member.value());
  }
  return out + "}";
}

// A trie of the names, walked beside the canonical rule: leaving the trie goes on in that rule, and only the end of a
// name inside the trie has no closing quote.
void add_other_key(AutomatonBuilder& b, const JsonRules& rules, NodeId from, const std::vector<std::string>& names,
                   NodeId to) {
  struct Branch {
    NodeId node;
    NodeId rule;  // where the canonical rule is after the same bytes
    std::set<std::string> rests;
  };
  std::map<NodeId, NodeId> outside;
  const auto leave = [&](NodeId rule) {
    const auto [found, is_new] = outside.try_emplace(rule, 0);
    if (is_new) {
      found->second = b.node();
      b.call(found->second, {.start = rule}, to, 0);
    }
    return found->second;
  };
  std::vector<Branch> open;
  Branch top{from, rules.canonical_body, {}};
  for (const std::string& name : names) top.rests.insert(canonical_text(name));
  open.push_back(std::move(top));
  while (!open.empty() && !b.full()) {
    const Branch branch = std::move(open.back());
    open.pop_back();
    std::map<std::uint8_t, std::set<std::string>> children;
    for (const std::string& rest : branch.rests) {
      if (!rest.empty()) children[static_cast<std::uint8_t>(rest[0])].insert(rest.substr(1));
    }
    const std::vector<Edge> edges = b.draft(branch.rule).edges;
    for (const Edge& edge : edges) {
      if (edge.target == kDone) {
        if (!branch.rests.contains("")) b.edge(branch.node, '"', to);
        continue;
      }
      int low = edge.low;
      for (int byte = edge.low; byte <= edge.high + 1; ++byte) {
        const bool child = byte <= edge.high && children.contains(static_cast<std::uint8_t>(byte));
        if (!child && byte <= edge.high) continue;
        if (low < byte)
          b.edge(branch.node, static_cast<std::uint8_t>(low), static_cast<std::uint8_t>(byte - 1), leave(edge.target));
        low = byte + 1;
        if (!child) continue;
        const NodeId next = b.node();
        b.edge(branch.node, static_cast<std::uint8_t>(byte), static_cast<std::uint8_t>(byte), next);
        open.push_back({next, edge.target, children[static_cast<std::uint8_t>(byte)]});
      }
    }
  }
}

}  // namespace tidegate::worker::grammar
