-- Marks the duplicates of persons who are judged again: recorded now, they would at once be new for want of the other.
update judged_persons
set fate = 'released'
where
    fate = 'kept'
    and outcome = 'duplicate'
    and email_hash in (
        select others.email_hash
        from judged_persons as others
        where others.fate = 'released'
    )
