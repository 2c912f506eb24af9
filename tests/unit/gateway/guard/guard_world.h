#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/guard/guard_text.h"
#include "gateway/guard/rule_book.h"
#include "tests/support/sequential_ids.h"

namespace tidegate::gateway::test {

inline GuardSubject subject_of(std::string tenant_name = "acme", std::string model = "tang-moe") {
  GuardSubject subject;
  subject.request = RequestId{tidegate::test::SequentialIds::make(1)};
  subject.tenant = TenantId{tidegate::test::SequentialIds::make(2)};
  subject.project = ProjectId{tidegate::test::SequentialIds::make(3)};
  subject.tenant_name = std::move(tenant_name);
  subject.model = std::move(model);
  return subject;
}

inline GuardRule rule_of(std::string name, std::string pattern, GuardAction action) {
  GuardRule rule;
  rule.name = std::move(name);
  rule.pattern = std::move(pattern);
  rule.action = action;
  return rule;
}
inline GuardRule pii_rule(std::string name, std::string_view kind, GuardAction action) {
  GuardRule rule = rule_of(std::move(name), std::string(find_pii_kind(kind)->pattern), action);
  rule.pii = find_pii_kind(kind);
  return rule;
}

inline RuleBook book_of(std::vector<GuardRule> rules, std::size_t window_bytes = 512) {
  auto book = RuleBook::compile(std::move(rules), window_bytes);
  if (!book) throw std::runtime_error(book.error().to_string());
  return *std::move(book);
}

inline GuardText whole_text(std::string_view all) {
  GuardText text;
  text.role = "user";
  text.all = all;
  return text;
}

/// One text as a request's: what a model would read of it, or "denied by NAME".
inline std::string read(const RuleBook& book, std::string_view text, const GuardSubject& subject = subject_of()) {
  const GuardCheck check{subject, GuardDirection::kInput, {whole_text(text)}, book.window_bytes()};
  const GuardVerdict verdict = book.judge(check);
  if (const Status fits = check_verdict(verdict, check); !fits) return fits.error().to_string();
  if (verdict.denial) return "denied by " + verdict.denial->category;
  return decided_text(verdict, 0, text);
}

}  // namespace tidegate::gateway::test
