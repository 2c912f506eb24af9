#include "tests/tidy/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <regex>
#include <set>

namespace tidegate::tidy {

namespace {

constexpr std::array<std::string_view, 5> kServices = {"gateway", "scheduler", "worker", "billing", "cli"};
constexpr int kLinesMax = 600;

std::string first_folder(std::string_view path) { return std::string(path.substr(0, path.find('/'))); }

bool is_cpp(const SourceFile& file) {
  return file.has_extension(".h") || file.has_extension(".cc") || file.has_extension(".cu");
}
bool is_product(const SourceFile& file) { return is_cpp(file) && !file.is_under("tests/") && !file.is_under("bench/"); }
bool is_service(std::string_view folder) {
  return std::find(kServices.begin(), kServices.end(), folder) != kServices.end();
}
bool is_core(const SourceFile& file) {
  for (const auto service : kServices) {
    if (file.is_under(std::string(service) + "/core/")) return true;
  }
  return false;
}

std::string at(const SourceFile& file, std::size_t offset) { return fmt::format("{}:{}: ", file.path, file.line_of(offset)); }

/// Offsets of a whole-word regular expression in code.
template <typename Report>
void each_match(const SourceFile& file, const std::regex& pattern, Report report) {
  for (std::sregex_iterator it(file.code.begin(), file.code.end(), pattern), end; it != end; ++it) {
    report(static_cast<std::size_t>(it->position()));
  }
}

}  // namespace

Complaints check_layers(const std::vector<SourceFile>& files) {
  Complaints out;
  for (const auto& file : files) {
    if (!is_product(file)) continue;
    const std::string own = first_folder(file.path);
    for (const auto& include : file.includes) {
      const std::string other = first_folder(include);
      auto complain = [&](std::string_view why) { out.push_back(fmt::format("{}: includes {}: {}", file.path, include, why)); };
      if (other == "tests" || other == "bench") complain("product code never includes tests or benchmarks");
      if (is_service(other) && is_service(own) && other != own && own != "cli") {
        complain("services never include each other; they meet in proto/");
      }
      if (own == "base" && is_service(other)) complain("base/ knows no service");
      if (file.is_under("base/core/") && !include.starts_with("base/core/")) complain("base/core stands alone");
      if (file.is_under("base/price/") && !include.starts_with("base/core/") && !include.starts_with("base/price/") &&
          !include.starts_with("base/json/")) {
        complain("base/price is pure");
      }
      if (is_core(file) && !include.starts_with("base/core/") && !include.starts_with("base/price/") &&
          !include.starts_with(own + "/core/")) {
        complain("a service's core includes base/core, base/price and itself only");
      }
    }
  }
  return out;
}

Complaints check_vendor_headers(const std::vector<SourceFile>& files) {
  struct Vendor {
    std::string_view header;
    std::vector<std::string_view> homes;
  };
  static const std::vector<Vendor> kVendors = {
      {"pqxx/", {"base/pg/", "/adapters/", "/jobs/"}},
      {"hiredis/", {"base/redis/"}},
      {"prometheus/", {"base/obs/"}},
      {"boost/beast", {"base/net/"}},
      {"openssl/", {"base/crypto/", "base/net/"}},
      {"sodium/", {"base/signing/"}},
      {"absl/", {"base/price/"}},
      {"grpcpp/", {"base/rpc/", "/rpc/", "/adapters/", "/dispatch/", "/wiring.", "cli/"}},
      {"boost/json", {"base/json/"}},
      {"cairo", {"base/pdf/"}},
      {"pango/", {"base/pdf/"}},
      {"re2/", {"base/text_rules/"}},
  };
  Complaints out;
  for (const auto& file : files) {
    if (!is_product(file)) continue;
    for (const auto& include : file.system_includes) {
      for (const auto& vendor : kVendors) {
        if (!include.starts_with(vendor.header)) continue;
        bool at_home = false;
        for (const auto home : vendor.homes) at_home |= file.path.find(home) != std::string::npos;
        if (!at_home) out.push_back(fmt::format("{}: <{}> belongs behind {}", file.path, include, vendor.homes.front()));
      }
    }
  }
  return out;
}

/// "co_await sleep_for(...)" is base/net's timer: it suspends a coroutine, not a thread.
bool is_awaited(const SourceFile& file, std::size_t offset) {
  static constexpr std::string_view kAwait = "co_await ";
  return offset >= kAwait.size() && file.code.compare(offset - kAwait.size(), kAwait.size(), kAwait) == 0;
}

Complaints check_banned_calls(const std::vector<SourceFile>& files) {
  struct Ban {
    std::regex pattern;
    std::string_view instead;
    std::vector<std::string_view> allowed;
  };
  static const std::vector<Ban> kBans = [] {
    std::vector<Ban> bans;
    bans.push_back({std::regex(R"((system|steady|high_resolution)_clock::now\()"), "take a Clock (base/core/clock.h)",
                    {"base/core/clock.cc", "base/net/", "base/rpc/", "base/pg/", "base/redis/", "cli/connection.cc"}});
    bans.push_back({std::regex(R"(\b(sleep_for|sleep_until|usleep|nanosleep)\()"), "await a timer (base/net) or a condition",
                    {"base/net/"}});
    bans.push_back({std::regex(R"(\bgetenv\()"), "add a row to the service's config table (base/core/config.h)",
                    {"cli/", "worker/backend/cpu/"}});
    bans.push_back({std::regex(R"(\b(std::rand\b|srand\(|random_device|mt19937))"), "use base/core/random.h or base/crypto", {}});
    bans.push_back({std::regex(R"(\b(strcpy|sprintf|strcat|gets)\()"), "use std::string and fmt", {}});
    bans.push_back({std::regex(R"(\bassert\()"), "use TG_CHECK or TG_DCHECK (base/core/check.h)", {}});
    bans.push_back({std::regex(R"(std::cout|std::cerr)"), "write to the Log (base/core/log.h)", {"cli/", "main.cc", "worker/verify/"}});
    return bans;
  }();
  Complaints out;
  for (const auto& file : files) {
    if (!is_product(file)) continue;
    for (const auto& ban : kBans) {
      bool allowed = false;
      for (const auto place : ban.allowed) allowed |= file.path.find(place) != std::string::npos;
      if (allowed) continue;
      each_match(file, ban.pattern, [&](std::size_t offset) {
        if (!is_awaited(file, offset)) out.push_back(at(file, offset) + std::string(ban.instead));
      });
    }
    const bool near_money = file.is_under("billing/") || file.is_under("base/price/") || file.is_under("gateway/money/");
    if (!near_money || file.path.find("metrics") != std::string::npos) continue;
    static const std::regex kFloat(R"(\b(double|float)\b)");
    each_match(file, kFloat, [&](std::size_t offset) {
      const auto line_start = file.text.rfind('\n', offset) + 1;
      const auto line = file.text.substr(line_start, file.text.find('\n', offset) - line_start);
      if (line.find("seconds") == std::string::npos && line.find("chrono") == std::string::npos && line.find("metric") == std::string::npos) {
        out.push_back(at(file, offset) + "no floating point near money: Money and Rate (base/core/money.h)");
      }
    });
  }
  return out;
}

Complaints check_co_await(const std::vector<SourceFile>& files) {
  static const std::regex kAggregate(R"([A-Za-z_0-9>]\{|[(,]\s*\{)");
  static const std::regex kCapture(R"((^|[^A-Za-z_0-9\)\]])\[[^\]\[]+\]\s*[({m])");
  Complaints out;
  for (const auto& file : files) {
    if (!is_cpp(file)) continue;
    for (auto start = file.code.find("co_await"); start != std::string::npos; start = file.code.find("co_await", start + 1)) {
      if (start > 0 && (std::isalnum(static_cast<unsigned char>(file.code[start - 1])) || file.code[start - 1] == '_')) continue;
      const auto end = file.code.find(';', start);
      // Up to the statement's end, or to the block it opens (if, while, for).
      std::string statement = file.code.substr(start, end - start);
      int depth = 0;
      for (std::size_t i = 0; i < statement.size(); ++i) {
        if (statement[i] == '(') ++depth;
        if (statement[i] == ')') --depth;
        if (depth < 0) {
          statement.resize(i);
          break;
        }
      }
      if (std::regex_search(statement, kAggregate)) {
        out.push_back(at(file, start) + "a braced temporary beside co_await: name it first, then await");
      }
      if (std::regex_search(statement, kCapture)) {
        out.push_back(at(file, start) + "a capturing lambda beside co_await: name it first, then await");
      }
    }
  }
  return out;
}

Complaints check_sizes(const std::vector<SourceFile>& files) {
  Complaints out;
  for (const auto& file : files) {
    if (!is_cpp(file) || file.is_generated() || file.lines() <= kLinesMax) continue;
    out.push_back(fmt::format("{}: {} lines, limit {}: split it by concept", file.path, file.lines(), kLinesMax));
  }
  return out;
}

Complaints check_names(const std::vector<SourceFile>& files) {
  static const std::regex kVague(R"((^|_)(util|utils|common|helper|helpers|misc)(_|\.|$))");
  Complaints out;
  for (const auto& file : files) {
    if (!is_cpp(file)) continue;
    const std::string name = file.path.substr(file.path.rfind('/') + 1);
    if (std::regex_search(name, kVague)) out.push_back(file.path + ": name the file by its concept");
  }
  return out;
}

Complaints check_dead_files(const std::vector<SourceFile>& files) {
  std::string cmake;
  std::set<std::string> included;
  for (const auto& file : files) {
    if (file.path.ends_with("CMakeLists.txt")) cmake += file.text;
    for (const auto& include : file.includes) included.insert(include);
  }
  Complaints out;
  for (const auto& file : files) {
    const std::string name = file.path.substr(file.path.rfind('/') + 1);
    if (file.has_extension(".h") && !included.contains(file.path)) out.push_back(file.path + ": nothing includes it");
    if (file.has_extension(".cc") && !std::regex_search(cmake, std::regex("(^|[\\s/(])" + std::regex_replace(name, std::regex("\\."), "\\.")))) {
      out.push_back(file.path + ": no CMakeLists.txt lists it");
    }
  }
  return out;
}

Complaints check_core_has_tests(const std::vector<SourceFile>& files) {
  std::set<std::string> tested;
  for (const auto& file : files) {
    if (!file.is_under("tests/")) continue;
    for (const auto& include : file.includes) tested.insert(include);
  }
  Complaints out;
  for (const auto& file : files) {
    const bool counts = is_core(file) || file.is_under("base/price/");
    if (counts && file.has_extension(".cc")) {
      const std::string header = file.path.substr(0, file.path.size() - 3) + ".h";
      if (!tested.contains(header)) out.push_back(file.path + ": no test includes " + header);
    }
  }
  return out;
}

Complaints check_unfinished(const std::vector<SourceFile>& files) {
  // Split so that this file does not accuse itself.
  static const std::regex kWords(std::string("\\b(TO") + "DO\\b|FIX" + "ME\\b|XX" + "X\\b|unimple" + "mented\\()");
  Complaints out;
  for (const auto& file : files) {
    if (file.is_under("tests/golden/") || file.is_under("models/")) continue;
    for (std::sregex_iterator it(file.text.begin(), file.text.end(), kWords), end; it != end; ++it) {
      out.push_back(at(file, static_cast<std::size_t>(it->position())) + "finish it, or file it as an issue");
    }
  }
  return out;
}

Complaints check_test_sleeps(const std::vector<SourceFile>& files) {
  static const std::regex kSleep(R"(\b(sleep_for|sleep_until|usleep|nanosleep|sleep)\()");
  Complaints out;
  for (const auto& file : files) {
    if (!is_cpp(file) || !file.is_under("tests/") || file.is_under("tests/tidy/")) continue;
    // The one home of the pause between two looks at a condition, and the tests of the timers themselves.
    if (file.path == "tests/support/eventually.h" || file.path == "tests/unit/base/net/timer_test.cc") continue;
    each_match(file, kSleep, [&](std::size_t offset) { out.push_back(at(file, offset) + "wait for the condition instead"); });
  }
  return out;
}

}  // namespace tidegate::tidy
