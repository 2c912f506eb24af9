#include "gateway/guard/pii.h"

#include <algorithm>
#include <array>

#include "base/core/ip_range.h"
#include "base/crypto/api_key.h"

namespace tidegate::gateway {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

std::string digits_of(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (is_digit(c)) out += c;
  }
  return out;
}

struct IbanLength {
  std::string_view country;
  std::size_t characters;
};
/// SWIFT's registry of IBAN formats.
constexpr std::array kIbanLengths = {
    IbanLength{"AD", 24}, IbanLength{"AE", 23}, IbanLength{"AL", 28}, IbanLength{"AT", 20}, IbanLength{"AZ", 28},
    IbanLength{"BA", 20}, IbanLength{"BE", 16}, IbanLength{"BG", 22}, IbanLength{"BH", 22}, IbanLength{"BR", 29},
    IbanLength{"BY", 28}, IbanLength{"CH", 21}, IbanLength{"CR", 22}, IbanLength{"CY", 28}, IbanLength{"CZ", 24},
    IbanLength{"DE", 22}, IbanLength{"DK", 18}, IbanLength{"DO", 28}, IbanLength{"EE", 20}, IbanLength{"EG", 29},
    IbanLength{"ES", 24}, IbanLength{"FI", 18}, IbanLength{"FO", 18}, IbanLength{"FR", 27}, IbanLength{"GB", 22},
    IbanLength{"GE", 22}, IbanLength{"GI", 23}, IbanLength{"GL", 18}, IbanLength{"GR", 27}, IbanLength{"GT", 28},
    IbanLength{"HR", 21}, IbanLength{"HU", 28}, IbanLength{"IE", 22}, IbanLength{"IL", 23}, IbanLength{"IQ", 23},
    IbanLength{"IS", 26}, IbanLength{"IT", 27}, IbanLength{"JO", 30}, IbanLength{"KW", 30}, IbanLength{"KZ", 20},
    IbanLength{"LB", 28}, IbanLength{"LC", 32}, IbanLength{"LI", 21}, IbanLength{"LT", 20}, IbanLength{"LU", 20},
    IbanLength{"LV", 21}, IbanLength{"LY", 25}, IbanLength{"MC", 27}, IbanLength{"MD", 24}, IbanLength{"ME", 22},
    IbanLength{"MK", 19}, IbanLength{"MR", 27}, IbanLength{"MT", 31}, IbanLength{"MU", 30}, IbanLength{"NL", 18},
    IbanLength{"NO", 15}, IbanLength{"PK", 24}, IbanLength{"PL", 28}, IbanLength{"PS", 29}, IbanLength{"PT", 25},
    IbanLength{"QA", 29}, IbanLength{"RO", 24}, IbanLength{"RS", 22}, IbanLength{"SA", 24}, IbanLength{"SC", 31},
    IbanLength{"SD", 18}, IbanLength{"SE", 24}, IbanLength{"SI", 19}, IbanLength{"SK", 24}, IbanLength{"SM", 27},
    IbanLength{"ST", 25}, IbanLength{"SV", 28}, IbanLength{"TN", 24}, IbanLength{"TR", 26}, IbanLength{"UA", 29},
    IbanLength{"VA", 22}, IbanLength{"VG", 24}, IbanLength{"XK", 20}};

std::size_t iban_length(std::string_view country) {
  for (const IbanLength& row : kIbanLengths) {
    if (row.country == country) return row.characters;
  }
  return 0;
}

std::size_t whole(std::string_view found, bool is_one) { return is_one ? found.size() : 0; }

std::size_t email(std::string_view found) {
  // RFC 5321: 64 bytes before the @, 254 in all; no dot at the end of the first, none doubled.
  const auto at = found.find('@');
  return whole(found, at <= 64 && found.size() <= 254 && found[at - 1] != '.' &&
                          found.substr(0, at).find("..") == std::string_view::npos);
}

std::size_t phone(std::string_view found) {
  const std::string digits = digits_of(found);
  if (found.front() == '+') return whole(found, digits.size() >= 8 && digits.size() <= 15);
  return whole(found, digits.size() == 11 || digits.size() == 13);
}

std::size_t cn_id(std::string_view found) { return whole(found, is_cn_resident_id(found)); }

std::size_t card(std::string_view found) {
  const std::string digits = digits_of(found);
  // Networks number from 2 to 6; an all-zero number passes Luhn as well.
  return whole(found, digits.front() >= '2' && digits.front() <= '6' && passes_luhn(digits));
}

/// The expression takes capitals and digits that follow the number, too: the country says where it ends.
std::size_t iban(std::string_view found) {
  const std::size_t length = iban_length(found.substr(0, 2));
  std::string compact;
  for (std::size_t i = 0; i < found.size() && length > 0; ++i) {
    if (found[i] != ' ') compact += found[i];
    if (compact.size() < length) continue;
    const bool ends_here = i + 1 == found.size() || found[i + 1] == ' ';
    return ends_here && is_iban(compact) ? i + 1 : 0;
  }
  return 0;
}

std::size_t ip(std::string_view found) { return whole(found, IpAddress::parse(found).has_value()); }

/// Ours carries a CRC; of the others the shape is all there is.
std::size_t api_key(std::string_view found) {
  const bool is_ours = found.starts_with("tgk_") || found.starts_with("tga_");
  return whole(found, !is_ours || parse_api_key(found).has_value());
}

constexpr std::array kKinds = {
    PiiKind{"email", R"(\b[A-Za-z0-9][A-Za-z0-9._%+\-]{0,63}@(?:[A-Za-z0-9][A-Za-z0-9\-]{0,62}\.){1,4}[A-Za-z]{2,24}\b)",
            email},
    // E.164 with its plus, and mainland China's mobile numbers with or without 86.
    PiiKind{"phone", R"(\B\+[1-9](?:[ .()\-]{0,2}[0-9]){6,14}\b|\b(?:86[ \-]?)?1[3-9][0-9][ \-]?[0-9]{4}[ \-]?[0-9]{4}\b)",
            phone},
    PiiKind{"cn_id",
            R"(\b[1-9][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx]\b)", cn_id},
    PiiKind{"card", R"(\b[2-6](?:[ \-]?[0-9]){12,18}\b)", card},
    PiiKind{"iban", R"(\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}\b)", iban},
    // A time of day has the shape of an IPv6 address, and too few groups: the parser says no.
    PiiKind{"ip",
            R"(\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b|\b[0-9A-Fa-f]{1,4}(?::{1,2}[0-9A-Fa-f]{1,4}){1,7}\b|)"
            R"(\B::(?:[0-9A-Fa-f]{1,4}:){0,6}[0-9A-Fa-f]{1,4}\b)",
            ip},
    PiiKind{"api_key",
            R"(\b(?:tg[ka]_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}\b|sk-[A-Za-z0-9_\-]{20,256}|AKIA[0-9A-Z]{16}\b|)"
            R"(gh[pousr]_[A-Za-z0-9]{36}\b|github_pat_[A-Za-z0-9_]{22,96}\b|AIza[0-9A-Za-z_\-]{35}|)"
            R"(xox[abprs]-[A-Za-z0-9\-]{10,200}|hf_[A-Za-z0-9]{30,40}\b|glpat-[A-Za-z0-9_\-]{20,64}))",
            api_key}};

}  // namespace

const PiiKind* find_pii_kind(std::string_view name) {
  for (const PiiKind& kind : kKinds) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

std::string pii_kind_names() {
  std::string out;
  for (const PiiKind& kind : kKinds) {
    if (!out.empty()) out += ", ";
    out += kind.name;
  }
  return out;
}

bool is_cn_resident_id(std::string_view digits) {
  constexpr std::array kWeights = {7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2};
  constexpr std::string_view kCheck = "10X98765432";
  if (digits.size() != kWeights.size() + 1) return false;
  int sum = 0;
  for (std::size_t i = 0; i < kWeights.size(); ++i) {
    if (!is_digit(digits[i])) return false;
    sum += kWeights[i] * (digits[i] - '0');
  }
  const char last = digits.back() == 'x' ? 'X' : digits.back();
  return last == kCheck[static_cast<std::size_t>(sum % 11)];
}

bool passes_luhn(std::string_view digits) {
  if (digits.size() < 12 || digits.size() > 19 || !std::ranges::all_of(digits, is_digit)) return false;
  int sum = 0;
  bool is_doubled = false;
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit) {
    int value = *digit - '0';
    if (is_doubled) value = value > 4 ? 2 * value - 9 : 2 * value;
    sum += value;
    is_doubled = !is_doubled;
  }
  return sum % 10 == 0;
}

bool is_iban(std::string_view text) {
  if (text.size() < 4 || text.size() != iban_length(text.substr(0, 2))) return false;
  std::string moved(text.substr(4));
  moved += text.substr(0, 4);
  int remainder = 0;
  for (const char c : moved) {
    if (is_digit(c)) {
      remainder = (remainder * 10 + (c - '0')) % 97;
    } else if (is_upper(c)) {
      remainder = (remainder * 100 + (c - 'A' + 10)) % 97;
    } else {
      return false;
    }
  }
  return remainder == 1;
}

}  // namespace tidegate::gateway
