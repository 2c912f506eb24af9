#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tidegate::gateway {

/// A kind of personal or secret data: an expression finds what looks like one, code says whether it is one (check
/// digits, address syntax). Every expression is bounded (longest match below 400 bytes).
struct PiiKind {
  std::string_view name;
  std::string_view pattern;
  /// Bytes, from the front of what the expression found, that are one; 0: none.
  std::size_t (*length)(std::string_view found);
};

/// nullptr: there is no such kind.
const PiiKind* find_pii_kind(std::string_view name);
/// "email, phone, ..."
std::string pii_kind_names();

// The check digits, for tests and for what else needs them. Separators are the caller's to remove.
/// GB 11643: 17 digits and one of 0-9 or X; ISO 7064 MOD 11-2.
bool is_cn_resident_id(std::string_view digits);
/// ISO/IEC 7812-1, annex B.
bool passes_luhn(std::string_view digits);
/// ISO 13616: upper case, the country's length, ISO 7064 MOD 97-10.
bool is_iban(std::string_view text);

}  // namespace tidegate::gateway
