-- Keeps the sentence and the remedy of a rule; rules that are no more stay, old rejects name them.
insert into rejection_rules (rule_name, stage, field_name, sentence, remedy)
values (:rule_name, :stage, :field_name, :description, :remedy)
on conflict (rule_name) do update set
    stage = excluded.stage,
    field_name = excluded.field_name,
    sentence = excluded.sentence,
    remedy = excluded.remedy
