#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto/sha256.h"
#include "tidegate/v1/audit.pb.h"

/// Proving an audit log. Pure.
namespace tidegate::cli {

/// The leaf that an entry's own words give: SHA-256(0x00 | "TGA1" | number | microseconds | actor | origin | changes),
/// each behind its length (u32, big-endian). Must equal what the database writes (billing/migrations/0010_audit.sql).
Digest audit_leaf(const v1::AuditEntry& entry);

}  // namespace tidegate::cli
