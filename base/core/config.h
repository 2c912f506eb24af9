#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"

namespace tidegate {

/// One row per option: key, unit and bounds, default, one sentence. The table is the only place an option exists:
/// parsing, unknown-key errors, `--help` and the reference page all come from it.
///
/// Files hold `key = value` lines, `#` starts a comment. The command line overrides with `--key=value`, and
/// `--config=FILE` names the file. Every problem is reported at once.
class ConfigTable {
 public:
  /// `service` names the process in help texts.
  explicit ConfigTable(std::string service) : service_(std::move(service)) {}

  void text(std::string key, std::string& target, std::string doc);
  /// The file's content becomes the value (trailing newline removed); the value itself never appears in output.
  void secret_file(std::string key, std::string& target, std::string doc);
  void integer(std::string key, std::int64_t& target, std::int64_t least, std::int64_t most, std::string doc);
  void flag(std::string key, bool& target, std::string doc);
  void milliseconds(std::string key, std::chrono::milliseconds& target, std::int64_t least, std::int64_t most,
                    std::string doc);
  /// One of `choices`.
  void choice(std::string key, std::string& target, std::vector<std::string> choices, std::string doc);
  /// The path of a file that only its owner should read; the path is the value.
  void private_file(std::string key, std::string& target, std::string doc);
  /// Marks the last added row: an empty value is an error.
  void required();
  /// Marks the last added row: it may change while the process runs.
  void reloadable();

  /// Applies defaults < file < command line. Fails: invalid_argument/bad_config with every problem, one a line.
  Status parse(int argc, const char* const* argv);
  Status parse_text(std::string_view file_text, std::string_view file_name);
  Status check_required() const;

  /// Names of the options whose values differ in `newer`, a table of the same rows over other targets.
  /// Fails: invalid_argument/not_reloadable naming every option that differs and may not change, one a line.
  Result<std::vector<std::string>> changes_to(const ConfigTable& newer) const;
  /// One sentence for each secret or private file that others than its owner can reach, with the fix.
  std::vector<std::string> warnings() const;

  /// The values in force, `key = value` lines; secrets as "(set)".
  std::string values() const;
  /// Markdown table of all rows.
  std::string reference() const;
  std::string help() const;

 private:
  struct Row {
    std::string key;
    std::string type;
    std::string fallback;
    std::string doc;
    bool is_required = false;
    std::function<std::string(std::string_view)> assign;  ///< returns a complaint or ""
    std::function<std::string()> show;                    ///< the value in force; "(set)" for a secret
    std::function<std::string()> exact;                   ///< as show, a secret as it is; empty: show. Never printed
    bool is_private = false;                              ///< names a file that only its owner should read
    bool is_reloadable = false;
    std::string path;                                     ///< of a private file, as given
  };
  std::string assign(std::string_view key, std::string_view value, std::string_view origin);
  void add(Row row) { rows_.push_back(std::move(row)); }

  std::string service_;
  std::vector<Row> rows_;
};

}  // namespace tidegate
