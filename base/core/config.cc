#include "base/core/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace tidegate {

namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t' || text.front() == '\r')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Code::kNotFound, "file_unreadable", fmt::format("cannot read '{}'", path));
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

std::string assign_integer(std::string_view value, std::int64_t least, std::int64_t most, std::int64_t& out) {
  std::int64_t number = 0;
  const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (code != std::errc() || end != value.data() + value.size()) return fmt::format("'{}' is not an integer", value);
  if (number < least || number > most) return fmt::format("{} is outside {}..{}", number, least, most);
  out = number;
  return {};
}

}  // namespace

void ConfigTable::text(std::string key, std::string& target, std::string doc) {
  add({std::move(key), "text", target, std::move(doc), false,
       [&target](std::string_view value) {
         target = value;
         return std::string();
       },
       [&target] { return target; }});
}

void ConfigTable::secret_file(std::string key, std::string& target, std::string doc) {
  add({std::move(key), "path of a secret", "", std::move(doc), false,
       [&target](std::string_view value) {
         auto content = read_file(std::string(value));
         if (!content) return content.error().message;
         while (!content->empty() && (content->back() == '\n' || content->back() == '\r')) content->pop_back();
         target = *std::move(content);
         return target.empty() ? fmt::format("the secret file '{}' is empty", value) : std::string();
       },
       [&target] { return std::string(target.empty() ? "" : "(set)"); }, [&target] { return target; }, true});
}

void ConfigTable::integer(std::string key, std::int64_t& target, std::int64_t least, std::int64_t most,
                          std::string doc) {
  add({std::move(key), fmt::format("integer {}..{}", least, most), fmt::format("{}", target), std::move(doc), false,
       [&target, least, most](std::string_view value) { return assign_integer(value, least, most, target); },
       [&target] { return fmt::format("{}", target); }});
}

void ConfigTable::flag(std::string key, bool& target, std::string doc) {
  add({std::move(key), "true or false", target ? "true" : "false", std::move(doc), false,
       [&target](std::string_view value) {
         if (value != "true" && value != "false") return fmt::format("'{}' is neither true nor false", value);
         target = value == "true";
         return std::string();
       },
       [&target] { return std::string(target ? "true" : "false"); }});
}

void ConfigTable::milliseconds(std::string key, std::chrono::milliseconds& target, std::int64_t least,
                               std::int64_t most, std::string doc) {
  add({std::move(key), fmt::format("ms {}..{}", least, most), fmt::format("{}", target.count()), std::move(doc), false,
       [&target, least, most](std::string_view value) {
         std::int64_t number = 0;
         std::string complaint = assign_integer(value, least, most, number);
         if (complaint.empty()) target = std::chrono::milliseconds(number);
         return complaint;
       },
       [&target] { return fmt::format("{}", target.count()); }});
}

void ConfigTable::choice(std::string key, std::string& target, std::vector<std::string> choices, std::string doc) {
  std::string type = fmt::format("{}", fmt::join(choices, " or "));
  add({std::move(key), type, target, std::move(doc), false,
       [&target, type, choices = std::move(choices)](std::string_view value) {
         if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
           return fmt::format("'{}' is not {}", value, type);
         }
         target = value;
         return std::string();
       },
       [&target] { return target; }});
}

void ConfigTable::private_file(std::string key, std::string& target, std::string doc) {
  text(std::move(key), target, std::move(doc));
  rows_.back().type = "path of a private file";
  rows_.back().is_private = true;
}

void ConfigTable::required() { rows_.back().is_required = true; }
void ConfigTable::reloadable() { rows_.back().is_reloadable = true; }

std::string ConfigTable::assign(std::string_view key, std::string_view value, std::string_view origin) {
  for (Row& row : rows_) {
    if (row.key != key) continue;
    const std::string complaint = row.assign(value);
    if (row.is_private) row.path = value;
    return complaint.empty() ? complaint : fmt::format("{}: {}: {}\n", origin, key, complaint);
  }
  return fmt::format("{}: unknown option '{}'; see --help for the list\n", origin, key);
}

Status ConfigTable::parse_text(std::string_view file_text, std::string_view file_name) {
  std::string problems;
  int number = 0;
  while (!file_text.empty()) {
    const auto end = file_text.find('\n');
    std::string_view line = file_text.substr(0, end);
    file_text.remove_prefix(end == std::string_view::npos ? file_text.size() : end + 1);
    ++number;
    line = trim(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const std::string origin = fmt::format("{}:{}", file_name, number);
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) {
      problems += fmt::format("{}: expected 'key = value'\n", origin);
      continue;
    }
    problems += assign(trim(line.substr(0, equals)), trim(line.substr(equals + 1)), origin);
  }
  if (!problems.empty()) return fail(Code::kInvalidArgument, "bad_config", problems);
  return {};
}

Status ConfigTable::parse(int argc, const char* const* argv) {
  std::string problems;
  std::vector<std::pair<std::string, std::string>> overrides;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto equals = argument.find('=');
    if (!argument.starts_with("--") || equals == std::string_view::npos) {
      problems += fmt::format("command line: '{}' is not of the form --key=value\n", argument);
      continue;
    }
    const auto key = argument.substr(2, equals - 2);
    const auto value = argument.substr(equals + 1);
    if (key != "config") {
      overrides.emplace_back(key, value);
      continue;
    }
    auto content = read_file(std::string(value));
    if (!content) {
      problems += content.error().message + "\n";
    } else if (auto status = parse_text(*content, value); !status) {
      problems += status.error().message;
    }
  }
  for (const auto& [key, value] : overrides) problems += assign(key, value, "command line");
  if (auto status = check_required(); !status) problems += status.error().message;
  if (!problems.empty()) return fail(Code::kInvalidArgument, "bad_config", problems);
  return {};
}

Status ConfigTable::check_required() const {
  std::string problems;
  for (const Row& row : rows_) {
    if (row.is_required && row.show().empty()) problems += fmt::format("{}: required ({})\n", row.key, row.doc);
  }
  if (!problems.empty()) return fail(Code::kInvalidArgument, "bad_config", problems);
  return {};
}

Result<std::vector<std::string>> ConfigTable::changes_to(const ConfigTable& newer) const {
  const auto exact = [](const Row& row) { return row.exact ? row.exact() : row.show(); };
  std::vector<std::string> changed;
  std::string problems;
  for (std::size_t i = 0; i < rows_.size() && i < newer.rows_.size(); ++i) {
    if (exact(rows_[i]) == exact(newer.rows_[i])) continue;
    changed.push_back(rows_[i].key);
    if (!rows_[i].is_reloadable) {
      problems += fmt::format("{}: cannot change while the process runs; put it back or restart\n", rows_[i].key);
    }
  }
  if (!problems.empty()) return fail(Code::kInvalidArgument, "not_reloadable", problems);
  return changed;
}

std::vector<std::string> ConfigTable::warnings() const {
  std::vector<std::string> all;
  for (const Row& row : rows_) {
    struct stat facts {};
    if (row.path.empty() || ::stat(row.path.c_str(), &facts) != 0 || (facts.st_mode & 077) == 0) continue;
    all.push_back(fmt::format("{}: others than its owner can reach '{}' (mode {:03o}); run: chmod 600 '{}'", row.key,
                              row.path, static_cast<unsigned>(facts.st_mode & 0777), row.path));
  }
  return all;
}

std::string ConfigTable::values() const {
  std::string page;
  for (const Row& row : rows_) page += fmt::format("{} = {}\n", row.key, row.show());
  return page;
}

std::string ConfigTable::reference() const {
  std::string page =
      fmt::format("## {}\n\n| option | type | default | meaning |\n| --- | --- | --- | --- |\n", service_);
  for (const Row& row : rows_) {
    page +=
        fmt::format("| `{}` | {} | {} | {}{}{} |\n", row.key, row.type,
                    row.fallback.empty() ? "" : "`" + row.fallback + "`", row.doc, row.is_required ? " Required." : "",
                    row.is_reloadable ? " Reloadable." : "");
  }
  return page;
}

std::string ConfigTable::help() const {
  std::string page = fmt::format("{} --config=FILE --key=value ...\n\n", service_);
  for (const Row& row : rows_) {
    page += fmt::format("  --{}=<{}>{}\n      {}\n", row.key, row.type,
                        row.fallback.empty() ? "" : " [" + row.fallback + "]",
                        row.doc + (row.is_reloadable ? " Reloadable." : ""));
  }
  return page;
}

}  // namespace tidegate
