namespace Gateway.Scsi;

/// <summary>START STOP UNIT (SBC-4 5.30). A stop holds for all initiators, until a start or until the unit is made anew.</summary>
internal sealed class StartStopCommand(UnitState unit)
{
    public async ValueTask ExecuteAsync(ScsiCommand command, CancellationToken cancellationToken)
    {
        var flags = command.Cdb[4];
        if ((flags & 0xF0) != 0)
        {
            command.CompleteCheckCondition(SenseCodes.InvalidFieldInCdb(4, 7)); // POWER CONDITION: there are none.
            return;
        }

        if ((flags & 0x02) != 0)
        {
            command.CompleteCheckCondition(SenseCodes.InvalidFieldInCdb(4, 1)); // LOEJ: the medium is not removable.
            return;
        }

        if ((flags & 0x01) != 0)
        {
            unit.Stopped = false;
            command.CompleteGood();
            return;
        }

        // Flushed also with NO_FLUSH, and before IMMED is answered. Stopped first, or a write could complete between flush and stop and
        // stay in the cache. A unit whose flush failed is started again, so that the stop can be repeated.
        unit.Stopped = true;
        var result = await unit.Device.FlushAsync(cancellationToken);
        if (!result.IsSuccess) unit.Stopped = false;
        SenseMapping.Complete(command, result);
    }
}
