#include "worker/engine/grammar/formats.h"

#include <array>
#include <utility>

namespace tidegate::worker::grammar {
namespace {

#define TG_DATE                                                                                   \
  "(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|" \
  "02-(?:0[1-9]|1\\d|2[0-8]))|"                                                                   \
  "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
#define TG_TIME "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)"
#define TG_LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,28}[A-Za-z0-9])?"
#define TG_OCTET "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"

constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kFormats = {{
    {"date", "^" TG_DATE "$"},
    {"time", "^" TG_TIME "$"},
    {"date-time", "^" TG_DATE "T" TG_TIME "$"},
    {"duration",
     "^P(?:\\d{1,4}W|(?:\\d{1,4}D|\\d{1,4}M(?:\\d{1,4}D)?|\\d{1,4}Y(?:\\d{1,4}M(?:\\d{1,4}D)?)?)"
     "(?:T(?:\\d{1,4}S|\\d{1,4}M(?:\\d{1,4}S)?|\\d{1,4}H(?:\\d{1,4}M(?:\\d{1,4}S)?)?))?|"
     "T(?:\\d{1,4}S|\\d{1,4}M(?:\\d{1,4}S)?|\\d{1,4}H(?:\\d{1,4}M(?:\\d{1,4}S)?)?))$"},
    {"uuid", "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"},
    {"email", "^[A-Za-z0-9_+-]{1,32}(?:\\.[A-Za-z0-9_+-]{1,32})?@" TG_LABEL "(?:\\." TG_LABEL ")?\\.[A-Za-z]{2,24}$"},
    {"hostname", "^" TG_LABEL "(?:\\." TG_LABEL "){0,3}$"},
    {"ipv4", "^(?:" TG_OCTET "\\.){3}" TG_OCTET "$"},
}};

}  // namespace

std::optional<std::string_view> format_pattern(std::string_view format) {
  for (const auto& [name, pattern] : kFormats) {
    if (name == format) return pattern;
  }
  return std::nullopt;
}

std::string_view known_formats() { return "date, time, date-time, duration, uuid, email, hostname, ipv4"; }

}  // namespace tidegate::worker::grammar
