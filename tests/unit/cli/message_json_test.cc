#include "cli/message_json.h"

#include <gtest/gtest.h>

#include "tidegate/v1/admin.pb.h"

namespace tidegate::cli {
namespace {

TEST(MessageJson, EveryFieldIsPresentAndIdsReadAsUuids) {
  v1::UsageRow row;
  row.mutable_event()->set_request_id(std::string("\x01\x95\x6a\x3e\x7c\x00\x70\x00\x80\x00\x00\x00\x00\x00\x00\x01", 16));
  row.mutable_event()->set_status(v1::USAGE_STATUS_COMPLETED);
  row.mutable_event()->set_amount("0.000091652");
  row.add_lines()->set_quantity(42);
  const std::string text = message_json(row);
  EXPECT_NE(text.find(R"("request_id":"01956a3e-7c00-7000-8000-000000000001")"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("amount":"0.000091652")"), std::string::npos);
  EXPECT_NE(text.find(R"("quantity":42)"), std::string::npos);
  EXPECT_NE(text.find(R"("status":"USAGE_STATUS_COMPLETED")"), std::string::npos);
  EXPECT_NE(text.find(R"("tenant_name":"")"), std::string::npos);
}

TEST(MessageJson, EmptyListsAreLists) {
  EXPECT_EQ(message_json(v1::ListTenantsResponse()), R"({"tenants":[]})");
}

}  // namespace
}  // namespace tidegate::cli
