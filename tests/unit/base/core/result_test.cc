#include "base/core/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace tidegate {
namespace {

Result<std::unique_ptr<int>> make(bool good) {
  if (!good) return fail(Code::kNotFound, "no_int", "there is none", "the.field");
  return std::make_unique<int>(42);
}
Result<int> doubled(bool good) {
  TG_ASSIGN(const auto value, make(good));
  return *value * 2;
}
Status checked(bool good) {
  TG_TRY(make(good));
  return {};
}

TEST(Result, AssignUnwrapsOrReturnsTheError) {
  EXPECT_EQ(*doubled(true), 84);
  EXPECT_EQ(doubled(false).error().reason, "no_int");
  EXPECT_TRUE(checked(true));
  EXPECT_EQ(checked(false).error(), make(false).error());
}

TEST(Error, PrintsCodeReasonMessageAndField) {
  EXPECT_EQ(make(false).error().to_string(), "not_found/no_int: there is none (the.field)");
  EXPECT_EQ(Error(Code::kInternal, "r", "m").to_string(), "internal/r: m");
}

TEST(Code, NamesAndNumbersAreThoseOfGrpc) {
  EXPECT_EQ(code_name(Code::kOk), "ok");
  EXPECT_EQ(code_name(Code::kInvalidArgument), "invalid_argument");
  EXPECT_EQ(code_name(Code::kUnauthenticated), "unauthenticated");
  EXPECT_EQ(static_cast<int>(Code::kUnauthenticated), 16);
  EXPECT_EQ(static_cast<int>(Code::kResourceExhausted), 8);
}

}  // namespace
}  // namespace tidegate
