#include "cli/audit_log.h"

namespace tidegate::cli {
namespace {

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 255);
}

void append_field(std::string& out, std::string_view value) {
  append_big_endian(out, value.size(), 4);
  out += value;
}

void append_number(std::string& out, std::uint64_t value) {
  append_big_endian(out, 8, 4);
  append_big_endian(out, value, 8);
}

}  // namespace

Digest audit_leaf(const v1::AuditEntry& entry) {
  std::string data(1, '\0');
  data += "TGA1";
  append_number(data, entry.number());
  append_number(data, static_cast<std::uint64_t>(entry.at_us()));
  append_field(data, entry.actor());
  append_field(data, entry.origin());
  append_field(data, entry.changes());
  return sha256(data);
}

}  // namespace tidegate::cli
