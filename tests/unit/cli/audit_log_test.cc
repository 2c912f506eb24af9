#include "cli/audit_log.h"

#include <gtest/gtest.h>

#include "base/core/encoding.h"

namespace tidegate::cli {
namespace {

TEST(AuditLog, TheLeafIsTheOneThatTheDatabaseWrites) {
  // SELECT audit_leaf(7, '2026-11-22T05:00:00.000001Z', 'admin/4fQ81kLm', 'ipv4:127.0.0.1:1', '[{"op": "insert"}]')
  v1::AuditEntry entry;
  entry.set_number(7);
  entry.set_at_us(1'795'323'600'000'001);
  entry.set_actor("admin/4fQ81kLm");
  entry.set_origin("ipv4:127.0.0.1:1");
  entry.set_changes(R"([{"op": "insert"}])");
  EXPECT_EQ(hex_encode(as_view(audit_leaf(entry))), "5fb11052dcfc60e29a051938708e7e337c40b6395bdf74f81cca95747528255d");
  entry.set_actor("admin/4fQ81kLn");
  EXPECT_NE(hex_encode(as_view(audit_leaf(entry))), "5fb11052dcfc60e29a051938708e7e337c40b6395bdf74f81cca95747528255d");
}

}  // namespace
}  // namespace tidegate::cli
