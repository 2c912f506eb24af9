#include "base/rpc/auth_gate.h"

#include <gtest/gtest.h>

namespace tidegate::rpc {
namespace {

std::string reason(const Status& status) { return status ? "" : status.error().reason; }

TEST(AuthGateTest, TheTokenOpens) { EXPECT_TRUE(AuthGate::required("s3cret").check_token("s3cret")); }

TEST(AuthGateTest, AnythingElseIsUnauthenticated) {
  const auto gate = AuthGate::required("s3cret");
  for (const char* token : {"S3cret", "s3cre", "s3crett", " s3cret", "x"}) {
    const Status status = gate.check_token(token);
    ASSERT_FALSE(status) << token;
    EXPECT_EQ(status.error().code, Code::kUnauthenticated);
    EXPECT_EQ(status.error().reason, "bad_token");
  }
  EXPECT_EQ(reason(gate.check_token("")), "missing_token");
}

TEST(AuthGateTest, ForgottenTokenInTheConfigurationLetsNobodyIn) {
  const auto gate = AuthGate::required("");
  EXPECT_EQ(reason(gate.check_token("")), "missing_token");
  EXPECT_EQ(reason(gate.check_token("anything")), "bad_token");
}

TEST(AuthGateTest, RefusalNeverRepeatsTheToken) {
  const Status status = AuthGate::required("s3cret").check_token("guess");
  EXPECT_EQ(status.error().to_string().find("guess"), std::string::npos);
  EXPECT_EQ(status.error().to_string().find("s3cret"), std::string::npos);
}

TEST(AuthGateTest, ACheckOfOnesOwnSeesTheTokenAndDecides) {
  const auto gate = AuthGate::checked_by([](const std::string& token) -> Status {
    if (token == "fine") return {};
    return fail(Code::kUnauthenticated, token.empty() ? "nothing" : "something", "m");
  });
  EXPECT_TRUE(gate.check_token("fine"));
  EXPECT_EQ(reason(gate.check_token("")), "nothing");
  EXPECT_EQ(reason(gate.check_token("other")), "something");
}

TEST(AuthGateTest, OpenGateAsksNothing) { EXPECT_TRUE(AuthGate::open().check_token("")); }

}  // namespace
}  // namespace tidegate::rpc
