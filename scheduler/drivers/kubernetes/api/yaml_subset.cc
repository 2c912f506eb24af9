#include "scheduler/drivers/kubernetes/api/yaml_subset.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tidegate::scheduler::kube {

namespace {

constexpr std::size_t kYamlBytesMax = 1 << 20;
constexpr int kYamlDepthMax = 16;

struct Line {
  std::size_t number = 0;
  std::size_t indent = 0;
  std::string_view text;  ///< without indent; never empty
};

std::unexpected<Error> bad_yaml(std::size_t line, std::string_view why) {
  return fail(Code::kInvalidArgument, "bad_yaml", fmt::format("line {}: {}", line, why));
}

std::string_view trim_end(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

/// Up to a comment that is not inside quotes.
std::string_view without_comment(std::string_view text) {
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == '"' && c == '\\')
      ++i;
    else if (quote != 0 && c == quote)
      quote = 0;
    else if (quote == 0 && (c == '"' || c == '\'') && (i == 0 || text[i - 1] == ' '))
      quote = c;
    else if (quote == 0 && c == '#' && (i == 0 || text[i - 1] == ' '))
      return text.substr(0, i);
  }
  return text;
}

Result<std::vector<Line>> split(std::string_view text) {
  std::vector<Line> lines;
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    ++number;
    std::size_t indent = 0;
    while (indent < line.size() && line[indent] == ' ') ++indent;
    line = trim_end(without_comment(line.substr(indent)));
    if (line.empty()) continue;
    if (line.front() == '\t') return bad_yaml(number, "a tab: indent with blanks");
    if (line == "---" && lines.empty()) continue;
    if (line == "---" || line == "...") return bad_yaml(number, "one document only");
    if (line.front() == '%') return bad_yaml(number, "directives are not read");
    lines.push_back({number, indent, line});
  }
  return lines;
}

/// The reader: `lines` from `at` on, one call a block.
class Reader {
 public:
  explicit Reader(std::vector<Line> lines) : lines_(std::move(lines)) {}

  Result<json::value> document() {
    if (lines_.empty()) return json::value(nullptr);
    TG_ASSIGN(json::value out, block(lines_.front().indent, 0));
    if (at_ < lines_.size()) return bad_yaml(lines_[at_].number, "is indented less than what it belongs to");
    return out;
  }

 private:
  Result<json::value> block(std::size_t indent, int depth) {
    if (depth > kYamlDepthMax) return bad_yaml(lines_[at_].number, fmt::format("nested deeper than {}", kYamlDepthMax));
    return is_item(lines_[at_].text) ? sequence(indent, depth) : mapping(indent, depth);
  }

  Result<json::value> sequence(std::size_t indent, int depth) {
    json::array out;
    while (at_ < lines_.size() && lines_[at_].indent == indent && is_item(lines_[at_].text)) {
      Line& line = lines_[at_];
      const std::string_view rest = line.text.substr(1);
      const std::size_t blanks = std::min(rest.find_first_not_of(' '), rest.size());
      if (blanks == rest.size()) {
        ++at_;
        TG_ASSIGN(json::value item, nested(indent, depth));
        out.push_back(std::move(item));
        continue;
      }
      if (!key_of(rest.substr(blanks))) {
        TG_ASSIGN(json::value item, scalar(rest.substr(blanks), line.number));
        out.push_back(std::move(item));
        ++at_;
        continue;
      }
      // "- key: value": the mapping begins behind the dash.
      line.indent += 1 + blanks;
      line.text = rest.substr(blanks);
      TG_ASSIGN(json::value item, mapping(line.indent, depth + 1));
      out.push_back(std::move(item));
    }
    if (at_ < lines_.size() && lines_[at_].indent > indent) return bad_yaml(lines_[at_].number, "is indented too far");
    return json::value(std::move(out));
  }

  Result<json::value> mapping(std::size_t indent, int depth) {
    json::object out;
    while (at_ < lines_.size() && lines_[at_].indent == indent && !is_item(lines_[at_].text)) {
      const Line line = lines_[at_];
      const auto colon = key_of(line.text);
      if (!colon) return bad_yaml(line.number, "is neither 'key: value' nor '- item'");
      TG_ASSIGN(const json::value name, scalar(line.text.substr(0, *colon), line.number));
      if (!name.is_string()) return bad_yaml(line.number, "a key must be a text");
      const std::string key(name.get_string());
      if (out.contains(key)) return bad_yaml(line.number, fmt::format("'{}' is there twice", key));
      std::string_view rest = line.text.substr(*colon + 1);
      rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
      ++at_;
      if (rest.empty()) {
        TG_ASSIGN(json::value value, nested(indent, depth));
        out.emplace(key, std::move(value));
      } else {
        TG_ASSIGN(json::value value, scalar(rest, line.number));
        out.emplace(key, std::move(value));
      }
    }
    if (at_ < lines_.size() && lines_[at_].indent > indent)
      return bad_yaml(lines_[at_].number, "is indented too far, or goes on a line before");
    return json::value(std::move(out));
  }

  /// What stands under "key:" or "-": deeper lines, a sequence at the same depth as its key, or nothing.
  Result<json::value> nested(std::size_t indent, int depth) {
    if (at_ >= lines_.size()) return json::value(nullptr);
    const Line& next = lines_[at_];
    if (next.indent > indent) return block(next.indent, depth + 1);
    if (next.indent == indent && is_item(next.text) && !is_item_parent(indent)) return sequence(indent, depth + 1);
    return json::value(nullptr);
  }

  /// Whether the line before was an item itself: then an item at its depth is its sibling.
  bool is_item_parent(std::size_t indent) const {
    return at_ > 0 && lines_[at_ - 1].indent == indent && is_item(lines_[at_ - 1].text);
  }

  static bool is_item(std::string_view text) { return text == "-" || text.starts_with("- "); }

  /// Where the colon of "key: ..." is.
  static std::optional<std::size_t> key_of(std::string_view text) {
    std::size_t from = 0;
    if (!text.empty() && (text.front() == '"' || text.front() == '\'')) {
      from = text.find(text.front(), 1);
      if (from == std::string_view::npos) return std::nullopt;
      ++from;
    }
    for (std::size_t i = from; i < text.size(); ++i) {
      if (text[i] == ':' && (i + 1 == text.size() || text[i + 1] == ' ')) return i;
    }
    return std::nullopt;
  }

  static Result<json::value> quoted(std::string_view text, std::size_t line) {
    const char quote = text.front();
    std::string out;
    for (std::size_t i = 1; i < text.size(); ++i) {
      const char c = text[i];
      if (quote == '\'' && c == '\'' && i + 1 < text.size() && text[i + 1] == '\'') {
        out += '\'';
        ++i;
      } else if (quote == '"' && c == '\\' && i + 1 < text.size()) {
        static constexpr std::string_view kFrom = "\"\\/nt", kTo = "\"\\/\n\t";
        const auto known = kFrom.find(text[++i]);
        if (known == std::string_view::npos) return bad_yaml(line, "an escape other than \\\" \\\\ \\/ \\n \\t");
        out += kTo[known];
      } else if (c == quote) {
        if (i + 1 != text.size()) return bad_yaml(line, "something follows the closing quote");
        return json::value(out);
      } else {
        out += c;
      }
    }
    return bad_yaml(line, "a quote is not closed on its line");
  }

  static Result<json::value> scalar(std::string_view text, std::size_t line) {
    text = trim_end(text);
    if (text.empty() || text == "~" || text == "null") return json::value(nullptr);
    if (text == "{}") return json::value(json::object());
    if (text == "[]") return json::value(json::array());
    switch (text.front()) {
      case '"':
      case '\'':
        return quoted(text, line);
      case '{':
      case '[':
        return bad_yaml(line, "collections in braces are not read; write one member a line");
      case '&':
      case '*':
      case '!':
        return bad_yaml(line, "anchors, aliases and tags are not read");
      case '|':
      case '>':
        return bad_yaml(line, "texts over several lines are not read");
      case '@':
      case '`':
        return bad_yaml(line, "a text cannot begin so; quote it");
      default:
        break;
    }
    if (text.find(": ") != std::string_view::npos) return bad_yaml(line, "': ' inside a text: quote it");
    return json::value(text);
  }

  std::vector<Line> lines_;
  std::size_t at_ = 0;
};

}  // namespace

Result<json::value> parse_yaml_subset(std::string_view text) {
  if (text.size() > kYamlBytesMax) return fail(Code::kInvalidArgument, "bad_yaml", "the file is longer than 1 MiB");
  const auto begins = text.find_first_not_of(" \t\r\n");
  if (begins != std::string_view::npos && (text[begins] == '{' || text[begins] == '[')) return json::parse(text);
  TG_ASSIGN(std::vector<Line> lines, split(text));
  return Reader(std::move(lines)).document();
}

}  // namespace tidegate::scheduler::kube
